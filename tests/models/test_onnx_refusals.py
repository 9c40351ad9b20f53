import numpy as np
import pytest
import torch
from networks import points
from onnx import TensorProto, helper
from onnx_zoo import AXES, MEAN, SPREAD, Graph, chain, divide, gemm

from pybackdoor.errors import FileRefusedError
from pybackdoor.models import NetworkSurrogate, import_onnx, onnx_import


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
        model = import_onnx(tmp_path / "model.onnx", AXES)
        assert isinstance(model, NetworkSurrogate)
        assert torch.allclose(model.values(x), truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("location", "length", "text"),
    [
        ("../weights.bin", 36, "outside the model's folder"),
        ("/etc/hostname", 36, "outside the model's folder"),
        ("", 36, "outside the model's folder"),
        ("link.bin", 36, "outside the model's folder"),
        ("below/../weights.bin", 36, "outside the model's folder"),
        ("none.bin", 36, "does not exist"),
        ("weights.bin", 1 << 40, "claim 1099511627776 bytes"),
        ("short.bin", 36, "cut short"),
        ("nul\0.bin", 36, "described wrongly"),
        (".", 36, "outside the model's folder"),
    ],
)
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
    "empty": (b"", "is empty"),
    "not ONNX": (b"hello, world" * 10, "cannot be read as ONNX|not a valid ONNX model"),
    "truncated": (content()[:-40], "cannot be read as ONNX|not a valid ONNX model"),
    "another protobuf": (b"\x08\x07", "not a valid ONNX model"),
    "two inputs": (content(second_input), "2 inputs and 1 outputs"),
    "two outputs": (content(second_output), "1 inputs and 2 outputs"),
    "integers": (content(integer_input), "element type 7"),
    "three dimensions": (content(third_dimension), "3 dimensions"),
    "foreign operator": (content(foreign_operator), "onnxruntime refuses the model"),
    "unknown operator": (content(unknown_operator), "not a valid ONNX model"),
    "a circle": (content(circle), "not a valid ONNX model"),
    "two features": (plane(features=2), "takes 2 features, but the domain has 3"),
    "two numbers a point": (plane(2), r"gives \(1000, 2\) for 1000 points"),
    "NaN": (plane(weight=np.nan), "gives nan at a = "),
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
