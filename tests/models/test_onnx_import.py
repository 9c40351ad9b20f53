import importlib.util
import warnings

import numpy as np
import pytest
import torch
from networks import points
from onnx.reference import ReferenceEvaluator
from onnx_zoo import ACTIVATION_FORMS, AXES, BACKS, FRONTS, LINEAR, MEAN, SPREAD, Graph, chain, divide, expected, gemm

from pybackdoor.domain import Domain
from pybackdoor.models import NetworkSurrogate, OnnxSurrogate, import_onnx

LOGS = Domain(AXES.names, AXES.lower, AXES.upper, ("linear", "log", "log"), "price")


def check_native(path, activation: str, truth: torch.Tensor | None = None, domain: Domain = AXES, tolerance: float = 1e-5) -> NetworkSurrogate:
    """The file is a native network with the right values and, by them, the right gradients."""
    model = import_onnx(path, domain)
    assert isinstance(model, NetworkSurrogate), model.reason
    assert model.network.activation == activation
    x = points(domain)
    truth = expected(activation, x) if truth is None else truth
    assert float((model.values(x) - truth).abs().max()) < tolerance * float(truth.abs().max())
    return model


@pytest.mark.parametrize("form", ACTIVATION_FORMS)
def test_every_form_of_an_activation_is_native(tmp_path, form):
    activation, write = ACTIVATION_FORMS[form]
    graph, output = chain(activation, form=write, opset=20)
    check_native(graph.save(tmp_path / "model.onnx", output), activation)


@pytest.mark.parametrize("linear", LINEAR, ids=lambda write: write.__name__)
def test_every_form_of_a_layer_is_native(tmp_path, linear):
    graph, output = chain("tanh", linear=linear)
    check_native(graph.save(tmp_path / "model.onnx", output), "tanh")


@pytest.mark.parametrize("front", FRONTS, ids=lambda write: write.__name__)
def test_every_form_of_normalisation_is_native(tmp_path, front):
    graph, output = chain("silu", front=front)
    check_native(graph.save(tmp_path / "model.onnx", output), "silu")


@pytest.mark.parametrize("back", BACKS, ids=lambda write: write.__name__)
def test_every_form_of_output_is_native(tmp_path, back):
    graph, output = chain("elu", back=back)
    factor = 2 if back.__name__ == "up_and_down" else 1
    check_native(graph.save(tmp_path / "model.onnx", output), "elu", factor * expected("elu", points(AXES)))


@pytest.mark.parametrize("settings", [{"batch": 1}, {"batch": 7}, {"opset": 13}, {"dtype": np.float64}], ids=str)
def test_fixed_batches_old_operators_and_float64_are_native(tmp_path, settings):
    graph, output = chain("tanh", **settings)
    single = settings.get("dtype") is not np.float64
    check_native(graph.save(tmp_path / "model.onnx", output), "tanh", tolerance=1e-5 if single else 1e-12)


def test_scaling_behind_is_folded(tmp_path):
    graph, output = chain("silu")
    output = graph.node("Add", graph.node("Mul", output, graph.constant(20)), graph.constant([[100]]))
    check_native(graph.save(tmp_path / "model.onnx", output), "silu", 100 + 20 * expected("silu", points(AXES)))


def test_natural_units_on_a_log_axis_become_the_exponential_map(tmp_path):
    graph, output = chain("silu")
    model = check_native(graph.save(tmp_path / "model.onnx", output), "silu", expected("silu", points(LOGS)), LOGS)
    assert torch.allclose(model.network.input_rate, torch.tensor([0, np.log(100), np.log(4)], dtype=torch.float64))
    values, gradients = model.values_and_gradients(points(LOGS))
    exact = import_onnx(tmp_path / "model.onnx", AXES).values_and_gradients(points(LOGS))
    assert torch.allclose(values, exact[0], rtol=1e-10)
    assert torch.allclose(gradients, exact[1], rtol=1e-9)


def logs_by_concat(g: Graph) -> str:
    plain = g.node("Slice", "x", g.integers(0), g.integers(1), g.integers(1))
    return g.node("Concat", plain, g.node("Log", g.node("Slice", "x", g.integers(1), g.integers(3), g.integers(1))), axis=1)


def logs_by_choice(g: Graph) -> str:
    mask = g.constant([False, True, True], bool)
    return g.node("Where", mask, g.node("Log", g.node("Where", mask, "x", g.constant(1))), "x")


@pytest.mark.parametrize("logs", [logs_by_concat, logs_by_choice], ids=lambda write: write.__name__)
def test_logarithms_in_front_of_log_axes_are_native(tmp_path, logs):
    weight = np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 1.0]])
    graph = Graph()
    output = gemm(graph, graph.node("Tanh", gemm(graph, logs(graph), weight, np.zeros(2))), np.ones((1, 2)), np.zeros(1))
    x = points(LOGS)
    inner = torch.stack([x[:, 0], torch.log(x[:, 1]), torch.log(x[:, 2])], dim=1) @ torch.from_numpy(weight).T
    path = graph.save(tmp_path / "model.onnx", output)
    model = check_native(path, "tanh", torch.tanh(inner).sum(1), LOGS)
    assert bool((model.network.input_rate == 0).all())
    general = import_onnx(path, AXES)  # on linear axes there is no such input map
    assert isinstance(general, OnnxSurrogate)
    assert "logarithm of b, a feature on a linear axis" in general.reason


def skip(g: Graph) -> str:
    value = divide(g)
    hidden = g.node("Tanh", gemm(g, value, np.eye(3), np.zeros(3)))
    return gemm(g, g.node("Add", hidden, value), np.ones((1, 3)), np.zeros(1))


def one_activation(kind: str, **attributes):
    def write(g: Graph) -> str:
        return gemm(g, g.node(kind, gemm(g, divide(g), np.eye(3), np.zeros(3)), **attributes), np.ones((1, 3)), np.zeros(1))

    return write


def mixed(g: Graph) -> str:
    hidden = g.node("Relu", g.node("Tanh", gemm(g, divide(g), np.eye(3), np.zeros(3))))
    return gemm(g, hidden, np.ones((1, 3)), np.zeros(1))


def other_cubic(g: Graph) -> str:
    z = gemm(g, divide(g), np.eye(3), np.zeros(3))
    gate = g.node("Tanh", g.node("Add", z, g.node("Mul", g.constant(0.1), g.node("Pow", z, g.constant(3)))))
    return gemm(g, g.node("Mul", z, g.node("Add", gate, g.constant(1))), np.ones((1, 3)), np.zeros(1))


def low_threshold(g: Graph) -> str:
    z = gemm(g, divide(g), np.eye(3), np.zeros(3))
    chosen = g.node("Where", g.node("Greater", z, g.constant(1)), z, g.node("Softplus", z))
    return gemm(g, chosen, np.ones((1, 3)), np.zeros(1))


def input_product(g: Graph) -> str:
    left = g.node("Slice", "x", g.integers(0), g.integers(1), g.integers(1))
    return g.node("Mul", left, g.node("Slice", "x", g.integers(1), g.integers(2), g.integers(1)))


def last_activation(g: Graph) -> str:
    return g.node("Softmax", gemm(g, divide(g), np.ones((1, 3)), np.zeros(1)), axis=0)


NOT_NATIVE = {
    "another slope": (one_activation("LeakyRelu", alpha=0.2), "leaky_relu with alpha 0.2"),
    "another alpha": (one_activation("Elu", alpha=0.5), "elu with alpha 0.5"),
    "hard swish": (one_activation("HardSwish"), "operator HardSwish"),
    "hard sigmoid": (one_activation("HardSigmoid"), "operator HardSigmoid"),
    "skip connection": (skip, "skip connection"),
    "two activations": (mixed, "activations relu, tanh"),
    "almost GELU": (other_cubic, "not GELU's"),
    "a jump": (low_threshold, "choice that depends on the input"),
    "bilinear": (input_product, "product of two branches"),
}


@pytest.mark.parametrize("case", NOT_NATIVE)
def test_anything_else_runs_in_onnxruntime(tmp_path, case):
    write, reason = NOT_NATIVE[case]
    graph = Graph()
    model = import_onnx(graph.save(tmp_path / "model.onnx", write(graph)), AXES)
    assert isinstance(model, OnnxSurrogate)
    assert reason in model.reason
    x = points(AXES)
    evaluator = ReferenceEvaluator(graph.model(graph.nodes[-1].output[0]))
    truth = torch.from_numpy(np.asarray(evaluator.run(None, {"x": x.numpy().astype(np.float32)})[0]).reshape(-1)).double()
    values, gradients = model.values_and_gradients(x)
    assert torch.allclose(values, truth, rtol=1e-4, atol=1e-4)
    assert gradients.shape == x.shape


def test_a_final_activation_is_a_layer_of_its_own(tmp_path):
    graph = Graph()
    path = graph.save(tmp_path / "model.onnx", graph.node("Softplus", gemm(graph, divide(graph), np.ones((1, 3)), np.zeros(1))))
    x = points(AXES)
    check_native(path, "softplus", torch.nn.functional.softplus(((x - torch.from_numpy(MEAN)) / torch.from_numpy(SPREAD)).sum(1)))


class Standardised(torch.nn.Module):
    """A model as a user writes it: natural units in, natural units out."""

    def __init__(self, activation: torch.nn.Module, flat: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.register_buffer("mean", torch.tensor(MEAN, dtype=torch.float32))
        self.register_buffer("spread", torch.tensor(SPREAD, dtype=torch.float32))
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 8), activation, torch.nn.Linear(8, 8), activation, torch.nn.Linear(8, 1))
        self.flat = flat

    def forward(self, x):
        y = 100 + 20 * self.layers((x - self.mean) / self.spread)
        return y.squeeze(-1) if self.flat else y


MODULES = {
    "relu": torch.nn.ReLU(),
    "leaky_relu": torch.nn.LeakyReLU(),
    "tanh": torch.nn.Tanh(),
    "silu": torch.nn.SiLU(),
    "gelu": torch.nn.GELU(),
    "gelu_tanh": torch.nn.GELU(approximate="tanh"),
    "softplus": torch.nn.Softplus(),
    "sigmoid": torch.nn.Sigmoid(),
    "elu": torch.nn.ELU(),
}
EXPORTERS = [(False, 17), (False, 20)] + [(True, 18)] * (importlib.util.find_spec("onnxscript") is not None)  # the newer one needs onnxscript


@pytest.mark.parametrize("activation", MODULES)
@pytest.mark.parametrize(("dynamo", "opset"), EXPORTERS)
def test_what_torch_exports_is_native(tmp_path, activation, dynamo, opset):
    module = Standardised(MODULES[activation], flat=opset != 17).eval()
    path = tmp_path / "model.onnx"
    batch = {"dynamic_shapes": ({0: torch.export.Dim("n")},)} if dynamo else {"dynamic_axes": {"x": {0: "n"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter calls itself old
        torch.onnx.export(module, (torch.rand(4, 3),), path, input_names=["x"], dynamo=dynamo, opset_version=opset, **batch)
    with torch.no_grad():
        truth = module.double()(points(AXES)).reshape(-1)
    check_native(path, activation, truth)


def test_products_that_would_fill_the_memory_stay_in_onnxruntime(tmp_path):
    graph, wide = Graph(), 20_000
    value = graph.node("MatMul", graph.node("MatMul", "x", graph.constant(np.ones((3, wide)) / wide)), graph.constant(np.ones((wide, 1))))
    narrow = graph.node("MatMul", graph.node("Mul", value, graph.constant(np.ones(wide))), graph.constant(np.ones((wide, 1)) / wide))
    model = import_onnx(graph.save(tmp_path / "model.onnx", narrow), AXES)
    assert torch.allclose(model.values(points(AXES)), points(AXES).sum(1), rtol=1e-4)
