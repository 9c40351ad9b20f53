import io
import pickle

import pytest
import torch
from networks import DOMAIN, points, surrogate

from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError, InputError, InputTypeError
from pybackdoor.models import CallableSurrogate, NetworkSurrogate, TorchSurrogate, export_onnx, load_model, save_model
from pybackdoor.models.domains import on_domain

CODE = """
from dataclasses import dataclass
import torch

from pybackdoor.domain import Domain
from pybackdoor.models import CallableSurrogate

def plane(x):
    return x[:, 0] + 2 * x[:, 1]

net = torch.nn.Linear(3, 1).double()
own = CallableSurrogate(plane, Domain(("a", "b"), (0, 0), (1, 1)))
number = 5

@dataclass
class Settings:
    count: "int" = 1
"""


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return str(path)


def test_each_kind_of_model_is_found(tmp_path, code):
    save_model(tmp_path / "model.safetensors", surrogate())
    export_onnx(tmp_path / "model.onnx", surrogate())
    assert isinstance(load_model(str(tmp_path / "model.safetensors")), NetworkSurrogate)
    assert isinstance(load_model(tmp_path / "model.onnx", DOMAIN), NetworkSurrogate)
    assert isinstance(load_model(f"{code}:net", DOMAIN), TorchSurrogate)
    function = load_model(f"{code}:plane", DOMAIN)
    assert isinstance(function, CallableSurrogate)
    assert torch.equal(function.values(points()), points()[:, 0] + 2 * points()[:, 1])
    assert load_model(f"{code}:own").domain.names == ("a", "b")
    assert isinstance(load_model("math:fsum", DOMAIN), CallableSurrogate)


def torch_file() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(2)}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.pt", b"anything"),
        ("model.pkl", pickle.dumps({})),
        ("model.joblib", b"x"),
        ("model.PTH", torch_file()),
        ("model.bin", pickle.dumps({})),
        ("model.safetensors", torch_file()),
        ("model.onnx", pickle.dumps({}, 2)),
    ],
)
def test_pickles_are_refused_with_a_way_out(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileRefusedError, match=r"pickle.*export the model to ONNX"):
        load_model(tmp_path / name, DOMAIN)


@pytest.mark.parametrize(
    ("name", "domain", "error", "text"),
    [
        ("none.safetensors", None, FileRefusedError, "does not exist"),
        ("none.onnx", DOMAIN, FileRefusedError, "does not exist"),
        ("none", DOMAIN, FileRefusedError, "does not exist"),
        ("text.txt", DOMAIN, FileRefusedError, "ends in .txt"),
        (".", DOMAIN, FileRefusedError, "not a file"),
        ("model.onnx", None, InputError, "does not say its domain"),
        ("mine.py:plane", None, InputError, "does not say its domain"),
        ("mine.py:own", DOMAIN, InputError, "a domain of its own"),
        ("mine.py:number", DOMAIN, InputTypeError, "is a int"),
        ("mine.py:Settings", DOMAIN, InputTypeError, "is a type"),
        ("mine.py:nothing", DOMAIN, InputError, "it defines .*plane"),
        ("none.py:plane", DOMAIN, InputError, "does not exist"),
        ("no.such.module:plane", DOMAIN, InputError, "install the package"),
        ("bad.py:plane", DOMAIN, InputError, "raised ZeroDivisionError"),
        ("mine.py:", DOMAIN, InputError, "attribute' is needed"),
    ],
)
def test_what_cannot_be_loaded_is_named_in_one_line(tmp_path, code, monkeypatch, name, domain, error, text):
    monkeypatch.chdir(tmp_path)
    export_onnx("model.onnx", surrogate())
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "bad.py").write_text("1 / 0")
    with pytest.raises(error, match=text) as caught:
        load_model(name, domain)
    assert "\n" not in str(caught.value)


def shuffled(scales=("linear", "linear", "log")) -> Domain:
    """The domain of the tests in another order, with other bounds and other scales."""
    return Domain(("c", "a", "b"), (60.0, 0.5, 0.2), (120.0, 1.5, 20.0), scales, "price")


def test_a_checkpoint_moves_to_another_domain(tmp_path):
    model, domain = surrogate(), shuffled()
    save_model(tmp_path / "model.safetensors", model)
    moved = load_model(tmp_path / "model.safetensors", domain)
    x = points(domain)
    assert moved.domain == domain
    assert torch.allclose(moved.values(x), model.values(x[:, [1, 2, 0]]), rtol=1e-12)


def test_natural_units_move_between_linear_and_log_axes():
    model = surrogate()
    on_logs = on_domain(model, shuffled(("log", "log", "log")))
    back = on_domain(on_logs, DOMAIN)
    again = on_domain(on_logs, shuffled())
    for other in (on_logs, again):
        x = points(other.domain)
        assert torch.allclose(other.values(x), model.values(x[:, [1, 2, 0]]), rtol=1e-11)
    assert torch.allclose(back.values(points()), model.values(points()), rtol=1e-11)
    assert bool((on_logs.network.input_rate[:2] > 0).all())
    assert bool((back.network.input_rate == 0).all())


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (shuffled(("linear", "linear", "linear")), "takes b by its logarithm"),
        (Domain(("a", "b"), (0, 1), (1, 2), (), "price"), "made for the features a, b, c"),
        (Domain(DOMAIN.names, DOMAIN.lower, DOMAIN.upper, DOMAIN.scales, "value"), "the target price"),
    ],
)
def test_a_domain_it_cannot_move_to_is_refused(domain, text):
    with pytest.raises(InputError, match=text):
        on_domain(surrogate(), domain)
