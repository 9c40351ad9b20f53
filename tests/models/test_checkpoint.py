import json

import pytest
import safetensors.torch
import torch
from networks import DOMAIN, points, surrogate

from pybackdoor.errors import FileRefusedError, InputTypeError
from pybackdoor.models import CallableSurrogate, load_model, save_model
from pybackdoor.models.checkpoint import KEY, load_checkpoint


def parts() -> tuple[dict[str, torch.Tensor], dict]:
    network = surrogate().network
    tensors = {name: getattr(network, name) for name in ("input_shift", "input_scale", "input_rate")}
    for layer in range(3):
        tensors |= {f"weights.{layer}": network.weights[layer], f"biases.{layer}": network.biases[layer]}
    content = {"schema": 1, "name": "small", "domain": DOMAIN.to_dict(), "activation": "silu", "output_shift": 3.0, "output_scale": 2.0}
    return {name: tensor.clone() for name, tensor in tensors.items()}, content


def test_every_bit_comes_back(tmp_path):
    model = surrogate("elu", output_shift=1 / 3, output_scale=1e-7)
    save_model(tmp_path / "model.safetensors", model, settings={"epochs": 5})
    for back in (load_checkpoint(tmp_path / "model.safetensors"), load_model(tmp_path / "model.safetensors")):
        assert (back.name, back.domain, back.network.activation) == ("small", DOMAIN, "elu")
        assert torch.equal(back.values(points()), model.values(points()))
    with safetensors.safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        content = json.loads(file.metadata()[KEY])
    assert content["settings"] == {"epochs": 5}
    assert content["versions"]["torch"] == torch.__version__


def test_the_parts_of_a_sound_file_load(tmp_path):
    tensors, content = parts()
    (tmp_path / "model.safetensors").write_bytes(safetensors.torch.save(tensors, {KEY: json.dumps(content)}))
    assert torch.equal(load_checkpoint(tmp_path / "model.safetensors").values(points()), surrogate().values(points()))


def damaged(**changes):
    """A sound file with some tensors or metadata replaced, or dropped (None)."""
    tensors, content = parts()
    for name, value in changes.items():
        place = tensors if name in tensors or isinstance(value, torch.Tensor) else content
        place[name.replace("_dot_", ".")] = value
    return safetensors.torch.save(
        {name: value for name, value in tensors.items() if value is not None},
        {KEY: json.dumps({name: value for name, value in content.items() if value is not None})},
    )


SOUND = damaged()
REFUSED = {
    "empty": (b"", "is empty"),
    "truncated": (SOUND[:-8], "cannot be read as safetensors"),
    "header only": (SOUND[:100], "cannot be read as safetensors"),
    "a header of 2^60 bytes": ((1 << 60).to_bytes(8, "little") + b"{}", "cannot be read as safetensors"),
    "tensors beyond the end": (SOUND[:8] + SOUND[8:].replace(b'"shape":[6]', b'"shape":[9]'), "cannot be read as safetensors"),
    "no metadata": (safetensors.torch.save(parts()[0]), "not a checkpoint of pybackdoor"),
    "metadata not JSON": (safetensors.torch.save(parts()[0], {KEY: "{"}), "cannot be read as safetensors"),
    "metadata too deep": (safetensors.torch.save(parts()[0], {KEY: "[" * 100_000}), "cannot be read as safetensors"),
    "another schema": (damaged(schema=2), "schema 1"),
    "tensor missing": (damaged(input_rate=None), "those of one network are needed"),
    "tensor too many": (damaged(weights_dot_9=torch.ones(1)), "those of one network are needed"),
    "unknown activation": (damaged(activation="sine"), "unknown activation 'sine'"),
    "activation missing": (damaged(activation=None), "lacks"),
    "shift not a number": (damaged(output_shift="3"), "lacks"),
    "shift not finite": (damaged(output_shift=float("inf")), "lacks"),
    "wrong shape": (damaged(weights_dot_1=torch.ones(5, 4, dtype=torch.float64)), "layer 1 has weights"),
    "map a matrix": (damaged(input_shift=torch.ones(3, 1, dtype=torch.float64)), "input_shift has shape"),
    "NaN": (damaged(biases_dot_0=torch.full((6,), float("nan"), dtype=torch.float64)), "float64 and finite"),
    "float32": (damaged(biases_dot_0=torch.ones(6)), "float64 and finite"),
    "domain of two features": (damaged(domain={"features": DOMAIN.to_dict()["features"][:2]}), "3 inputs, but the domain has 2"),
    "domain upside down": (damaged(domain={"features": [{"name": "a", "lower": 2, "upper": 1}]}), "lower < upper"),
    "domain missing": (damaged(domain=None), "a JSON object"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_refused_in_one_line(tmp_path, case):
    content, text = REFUSED[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileRefusedError, match=text) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sizes_are_bounded(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(SOUND)
    with pytest.raises(FileRefusedError, match="more than the limit of 500"):
        load_checkpoint(tmp_path / "model.safetensors", max_bytes=500)


def test_what_cannot_be_saved_is_named(tmp_path):
    with pytest.raises(InputTypeError, match="CallableSurrogate"):
        save_model(tmp_path / "model.safetensors", CallableSurrogate(lambda x: x[:, 0], DOMAIN))
    with pytest.raises(FileRefusedError, match=r"end in \.safetensors"):
        save_model(tmp_path / "model.pt", surrogate())
    with pytest.raises(FileRefusedError, match="cannot be written"):
        save_model(tmp_path / "none" / "model.safetensors", surrogate())
    assert list(tmp_path.iterdir()) == []
