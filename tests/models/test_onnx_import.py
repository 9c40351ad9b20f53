import importlib.util
import warnings

import numpy as np
import pytest
import torch
from networks import points
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx_zoo import ACTIVATION_FORMS, AXES, BACKS, FRONTS, LINEAR, MEAN, SPREAD, Graph, chain, divide, expected, gemm

from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError
from pybackdoor.models import NetworkSurrogate, OnnxSurrogate, import_onnx, onnx_import

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


MODULES = {"relu": torch.nn.ReLU(), "leaky_relu": torch.nn.LeakyReLU(), "tanh": torch.nn.Tanh(), "silu": torch.nn.SiLU(), "gelu": torch.nn.GELU(),
           "gelu_tanh": torch.nn.GELU(approximate="tanh"), "softplus": torch.nn.Softplus(), "sigmoid": torch.nn.Sigmoid(), "elu": torch.nn.ELU()}
DYNAMO = importlib.util.find_spec("onnxscript") is not None


@pytest.mark.parametrize("activation", MODULES)
@pytest.mark.parametrize(("dynamo", "opset"), [
    (False, 17), (False, 20), pytest.param(True, 18, marks=pytest.mark.skipif(not DYNAMO, reason="onnxscript is not installed"))])
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


def external(location: str, length: int = 36) -> bytes:
    """A chain whose first weights are said to lie in `location`."""
    graph = Graph()
    model = graph.model(gemm(graph, gemm(graph, divide(graph), np.eye(3), np.zeros(3)), np.ones((1, 3)), np.zeros(1)))
    tensor = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [3, 3])
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "4"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return model.SerializeToString()


def test_weights_beside_the_model_are_read(tmp_path):
    (tmp_path / "below").mkdir()
    content = b"skip" + np.eye(3, dtype=np.float32).tobytes()
    x = points(AXES)
    truth = ((x - torch.from_numpy(MEAN)) / torch.from_numpy(SPREAD)).sum(1)
    for place in ("weights.bin", "below/weights.bin"):
        (tmp_path / place).write_bytes(content)
        (tmp_path / "model.onnx").write_bytes(external(place))
        check_native(tmp_path / "model.onnx", "relu", truth)


@pytest.mark.parametrize(("location", "length", "text"), [
    ("../weights.bin", 36, "outside the model's folder"), ("/etc/hostname", 36, "outside the model's folder"), ("", 36, "outside the model's folder"),
    ("link.bin", 36, "outside the model's folder"), ("below/../weights.bin", 36, "outside the model's folder"), ("none.bin", 36, "does not exist"),
    ("weights.bin", 1 << 40, "claim 1099511627776 bytes"), ("short.bin", 36, "cut short"), ("nul\0.bin", 36, "described wrongly"),
    (".", 36, "outside the model's folder"),
])
def test_weights_elsewhere_are_refused(tmp_path, location, length, text):
    folder = tmp_path / "models"
    folder.mkdir()
    for place in (tmp_path / "weights.bin", folder / "weights.bin"):
        place.write_bytes(bytes(40))
    (folder / "short.bin").write_bytes(bytes(39))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    (folder / "model.onnx").write_bytes(external(location, length))
    with pytest.raises(FileRefusedError, match=text) as caught:
        import_onnx(folder / "model.onnx", AXES)
    assert "\n" not in str(caught.value)


def content(write=None, **settings) -> bytes:
    graph, output = chain("relu", **settings)
    model = graph.model(output)
    if write is not None:
        write(model)
    return model.SerializeToString()


def plane(output_width: int = 1, features: int = 3, weight: float = 1.0) -> bytes:
    graph = Graph()
    return graph.model(gemm(graph, "x", np.full((output_width, features), weight), np.zeros(output_width)), features).SerializeToString()


def second_input(model):
    model.graph.input.add().CopyFrom(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 3]))


def integer_input(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def third_dimension(model):
    model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1


def second_output(model):
    model.graph.output.add().CopyFrom(helper.make_tensor_value_info("n0", TensorProto.FLOAT, ["N", 3]))


def foreign_operator(model):
    model.opset_import.add().CopyFrom(helper.make_opsetid("elsewhere", 1))
    model.graph.node[-1].domain = "elsewhere"


def unknown_operator(model):
    model.graph.node[-1].op_type = "Sprocket"


def circle(model):
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


REFUSED = {
    "empty": (b"", "is empty"), "not ONNX": (b"hello, world" * 10, "cannot be read as ONNX|not a valid ONNX model"),
    "truncated": (content()[:-40], "cannot be read as ONNX|not a valid ONNX model"), "another protobuf": (b"\x08\x07", "not a valid ONNX model"),
    "two inputs": (content(second_input), "2 inputs and 1 outputs"), "two outputs": (content(second_output), "1 inputs and 2 outputs"),
    "integers": (content(integer_input), "element type 7"), "three dimensions": (content(third_dimension), "3 dimensions"),
    "foreign operator": (content(foreign_operator), "onnxruntime refuses the model"),
    "unknown operator": (content(unknown_operator), "not a valid ONNX model"),
    "a circle": (content(circle), "not a valid ONNX model"), "two features": (plane(features=2), "takes 2 features, but the domain has 3"),
    "two numbers a point": (plane(2), r"gives \(1000, 2\) for 1000 points"), "NaN": (plane(weight=np.nan), "gives nan at a = "),
    "infinity": (plane(weight=3e38), "gives -?inf at a = "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_refused_in_one_line(tmp_path, case):
    path = tmp_path / "model.onnx"
    path.write_bytes(REFUSED[case][0])
    with pytest.raises(FileRefusedError, match=REFUSED[case][1]) as caught:
        import_onnx(path, AXES)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sizes_are_bounded(tmp_path):
    (tmp_path / "model.onnx").write_bytes(content())
    with pytest.raises(FileRefusedError, match="more than the limit of 100"):
        import_onnx(tmp_path / "model.onnx", AXES, max_bytes=100)


def test_a_wrong_reading_is_refused(tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_bytes(content())
    right = onnx_import._network

    def wrong(*arguments):
        network = right(*arguments)
        network.biases[-1].add_(0.01)
        return network

    monkeypatch.setattr(onnx_import, "_network", wrong)
    with pytest.raises(FileRefusedError, match=r"its chain of layers and onnxruntime differ by 0\.01 at a = "):
        import_onnx(tmp_path / "model.onnx", AXES)


def test_products_that_would_fill_the_memory_stay_in_onnxruntime(tmp_path):
    graph, wide = Graph(), 20_000
    value = graph.node("MatMul", graph.node("MatMul", "x", graph.constant(np.ones((3, wide)) / wide)), graph.constant(np.ones((wide, 1))))
    narrow = graph.node("MatMul", graph.node("Mul", value, graph.constant(np.ones(wide))), graph.constant(np.ones((wide, 1)) / wide))
    model = import_onnx(graph.save(tmp_path / "model.onnx", narrow), AXES)
    assert torch.allclose(model.values(points(AXES)), points(AXES).sum(1), rtol=1e-4)
