import math

import numpy as np
import pytest
import torch
from networks import DOMAIN, network, points, surrogate

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError, InputTypeError, SurrogateFailedError
from pybackdoor.models import CallableSurrogate, NetworkSurrogate, OnnxSurrogate, TorchSurrogate, export_onnx
from pybackdoor.models.differences import gradients_by_differences
from pybackdoor.records import ACTIVATIONS


def formula(x):
    return np.sin(x[:, 0]) * np.log(x[:, 1]) + (x[:, 2] / 100) ** 2


def gradient(x):
    return np.stack([np.cos(x[:, 0]) * np.log(x[:, 1]), np.sin(x[:, 0]) / x[:, 1], 2 * x[:, 2] / 1e4], axis=1)


class Module(torch.nn.Module):
    def __init__(self, column: bool, parameter: bool) -> None:
        super().__init__()
        self.column = column
        if parameter:
            self.scale = torch.nn.Parameter(torch.ones(()))  # float32
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x):
        y = self.drop(torch.sin(x[:, 0]) * torch.log(x[:, 1]) + (x[:, 2] / 100) ** 2)
        return y[:, None] if self.column else y


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_networks_gradient_is_that_of_its_values(activation):
    model, x = surrogate(activation), points()
    values, gradients = model.values_and_gradients(x)
    assert torch.allclose(values, model.values(x), rtol=1e-13)
    differences = gradients_by_differences(model.values, DOMAIN, x, step=1e-6)
    agree = (gradients - differences).abs() <= 1e-6 * gradients.abs().mean(0)
    assert float(agree.double().mean()) > (0.98 if "relu" in activation else 0.9999)  # a step may cross a kink


def test_a_networks_values_are_those_of_its_layers():
    model, x = surrogate("tanh"), points()
    unit = torch.stack([(x[:, 0] + 1) / 3, torch.log(x[:, 1] / 0.1) / math.log(100), (x[:, 2] - 50) / 150], dim=1)
    hidden = 2 * unit - 1
    for weight, bias in zip(model.network.weights[:-1], model.network.biases[:-1], strict=True):
        hidden = torch.tanh(hidden @ weight.T + bias)
    expected = 3 + 2 * (hidden @ model.network.weights[-1].T + model.network.biases[-1])[:, 0]
    assert torch.allclose(model.values(x), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("model", "tolerance"),
    [
        (CallableSurrogate(formula, DOMAIN), 1e-8),
        (CallableSurrogate(formula, DOMAIN, gradient=gradient), 1e-14),
        (TorchSurrogate(Module(False, False), DOMAIN), 1e-14),
        (TorchSurrogate(Module(True, True), DOMAIN), 1e-5),
    ],
    ids=["differences", "own gradient", "torch float64", "torch float32"],
)
def test_values_and_gradients_are_those_of_the_function(model, tolerance):
    x = points()
    values, gradients = model.values_and_gradients(x.tolist())
    exact = torch.from_numpy(gradient(x.numpy()))
    assert values.dtype == gradients.dtype == torch.float64
    assert torch.allclose(values, torch.from_numpy(formula(x.numpy())), rtol=tolerance, atol=tolerance)
    assert torch.allclose(model.values(x), values, rtol=1e-12)
    assert float(((gradients - exact).abs() / exact.abs().mean(0)).max()) < tolerance


def test_a_module_keeps_its_mode():
    module = Module(False, False).train()
    module.drop.eval()
    TorchSurrogate(module, DOMAIN).values(points())
    assert module.training
    assert not module.drop.training


def test_an_onnx_model_has_gradients_to_float32_accuracy(tmp_path):
    native = surrogate("tanh")
    export_onnx(tmp_path / "model.onnx", native)
    model, x = OnnxSurrogate(tmp_path / "model.onnx", DOMAIN), points()
    values, gradients = model.values_and_gradients(x)
    exact_values, exact = native.values_and_gradients(x)
    assert float((values - exact_values).abs().max()) < 2e-6 * float(exact_values.abs().max())
    errors = (gradients - exact).abs() / exact.abs().amax(0)
    assert float(errors.median()) < 1e-4
    assert float(errors.max()) < 1e-2  # within a step of a bound, where the difference is one-sided


def test_differences_stay_inside_the_domain_and_close_the_gap_at_its_bounds():
    seen = []

    def watched(x):
        seen.append(x)
        return torch.from_numpy(formula(x.numpy()))

    corners = torch.tensor([DOMAIN.lower, DOMAIN.upper], dtype=torch.float64)
    gradients = gradients_by_differences(watched, DOMAIN, corners, step=1e-6)
    assert bool(DOMAIN.contains(torch.cat(seen)).all())
    assert torch.allclose(gradients, torch.from_numpy(gradient(corners.numpy())), rtol=1e-4, atol=1e-5)


def test_points_outside_the_domain_are_answered():
    outside = torch.tensor([[5.0, 20.0, 10.0]], dtype=torch.float64)
    for model in (surrogate(), CallableSurrogate(formula, DOMAIN)):
        values, gradients = model.values_and_gradients(outside)
        assert bool(torch.isfinite(values).all())
        assert torch.allclose(gradients, gradients_by_differences(model.values, DOMAIN, outside, step=1e-5), rtol=1e-4)


@pytest.mark.parametrize(
    "model",
    [
        surrogate(),
        CallableSurrogate(formula, DOMAIN),
        CallableSurrogate(formula, DOMAIN, gradient=gradient),
        TorchSurrogate(Module(False, False), DOMAIN),
    ],
    ids=lambda model: model.name,
)
def test_no_points_give_no_values(model):
    values, gradients = model.values_and_gradients(torch.empty(0, 3))
    assert values.shape == (0,)
    assert gradients.shape == (0, 3)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: NetworkSurrogate(network(dimension=2), DOMAIN), InputError, r"2 inputs, but the domain has 3 features \(a, b, c\)"),
        (lambda: CallableSurrogate(5, DOMAIN), InputError, "cannot be called"),
        (lambda: CallableSurrogate(lambda x: x, DOMAIN).values(points()), InputError, r"shape \(200, 3\)"),
        (lambda: CallableSurrogate(lambda x: ["text"] * len(x), DOMAIN).values(points()), InputTypeError, "real numbers"),
        (lambda: CallableSurrogate(lambda x: np.full(len(x), np.nan), DOMAIN).values(points()), InputError, "row 0 is nan"),
        (lambda: CallableSurrogate(formula, DOMAIN, gradient=lambda x: gradient(x)[:5]).values_and_gradients(points()), InputError, "5 rows for 200"),
        (lambda: TorchSurrogate(formula, DOMAIN), InputTypeError, "torch.nn.Module is needed"),
        (lambda: TorchSurrogate(torch.nn.Linear(3, 2).double(), DOMAIN).values(points()), InputError, r"got \(200, 2\)"),
        (lambda: surrogate().values([[1.0, 2.0]]), InputError, r"shape \(1, 2\)"),
        (lambda: surrogate().values([[1.0, float("nan"), 2.0]]), InputError, "row 0, column b is nan"),
    ],
)
def test_what_does_not_fit_is_named(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_a_large_batch_is_the_same_in_parts(monkeypatch):
    model, x = surrogate(), points(count=100)
    whole = model.values_and_gradients(x)
    monkeypatch.setattr("pybackdoor.models.network_surrogate.ACTIVATIONS_PER_CHUNK", 50)
    parts = model.values_and_gradients(x)
    assert torch.allclose(whole[0], parts[0], rtol=1e-14)
    assert torch.allclose(whole[1], parts[1], rtol=1e-12)


def test_a_function_that_raises_is_named_with_its_exception():
    def broken(x):
        raise ZeroDivisionError("no such table")

    model = CallableSurrogate(broken, Domain(("a",), (0,), (1,)))
    with pytest.raises(SurrogateFailedError, match="broken: raised ZeroDivisionError: no such table") as caught:
        model.values([[0.5]])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
