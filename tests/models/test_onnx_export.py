import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from networks import DOMAIN, points, surrogate

from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError, InputTypeError, UnsupportedError
from pybackdoor.models import CallableSurrogate, NetworkSurrogate, export_onnx, import_onnx
from pybackdoor.records import ACTIVATIONS

LINEAR = Domain(("a", "b"), (-1, 1000), (1, 1001))
LOGARITHMIC = Domain(("a", "b"), (0.01, 1), (100, 5), ("log", "log"))


def run(path, x: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"features": x.numpy().astype(np.float32)})
    assert output.shape == (x.shape[0], 1)
    return torch.from_numpy(output[:, 0]).double()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("domain", [DOMAIN, LINEAR, LOGARITHMIC], ids=["mixed", "linear", "logarithmic"])
def test_onnxruntime_agrees_and_the_model_comes_back_native(tmp_path, activation, domain):
    model, x = surrogate(activation, domain), points(domain, 500).float().double()  # numbers that float32 holds
    export_onnx(tmp_path / "model.onnx", model)
    values = model.values(x)
    scale = float(values.max() - values.min())
    assert float((run(tmp_path / "model.onnx", x) - values).abs().max()) < 3e-6 * scale
    back = import_onnx(tmp_path / "model.onnx", domain)
    assert isinstance(back, NetworkSurrogate)
    assert back.network.activation == activation
    assert float((back.values(x) - values).abs().max()) < 3e-6 * scale


def test_a_network_of_natural_units_on_a_log_axis_needs_no_logarithm(tmp_path):
    rate = torch.tensor([0.0, np.log(100.0), 0.0], dtype=torch.float64)
    model, x = surrogate(input_rate=rate), points()
    export_onnx(tmp_path / "model.onnx", model)
    assert "Log" not in [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert torch.allclose(run(tmp_path / "model.onnx", x), model.values(x), atol=1e-4)
    back = import_onnx(tmp_path / "model.onnx", DOMAIN)
    assert isinstance(back, NetworkSurrogate)
    assert torch.allclose(back.network.input_rate, rate)
    assert torch.allclose(back.values(x), model.values(x), atol=1e-4)


def test_no_hidden_layer_is_a_plane(tmp_path):
    model, x = surrogate(widths=()), points()
    export_onnx(tmp_path / "model.onnx", model)
    back = import_onnx(tmp_path / "model.onnx", DOMAIN)
    assert isinstance(back, NetworkSurrogate)
    assert torch.allclose(back.values(x), model.values(x), atol=1e-5)


def test_what_cannot_be_exported_is_named(tmp_path):
    with pytest.raises(InputTypeError, match="CallableSurrogate"):
        export_onnx(tmp_path / "model.onnx", CallableSurrogate(lambda x: x[:, 0], DOMAIN))
    with pytest.raises(FileRefusedError, match=r"end in \.onnx"):
        export_onnx(tmp_path / "model.pt", surrogate())
    with pytest.raises(FileRefusedError, match="cannot be written"):
        export_onnx(tmp_path / "none" / "model.onnx", surrogate())
    with pytest.raises(UnsupportedError, match="linear axis"):
        export_onnx(tmp_path / "model.onnx", surrogate(input_rate=torch.tensor([1.0, 0, 0], dtype=torch.float64)))
    assert list(tmp_path.iterdir()) == []
