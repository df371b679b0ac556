"""SASNet as an ONNX file: `network.smooth` on names instead of arrays."""

import numpy as np
import onnx
from network import haar_kernel, smooth
from onnx import TensorProto, helper, numpy_helper


class Ops:
    """Each function adds a node and returns the name of its output."""

    def __init__(self):
        self.nodes, self.constants = [], {}

    def constant(self, name, value):
        self.constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind, inputs, count=1, **attributes):
        outputs = [f"v{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=f"n{len(self.nodes)}", **attributes))
        return outputs[0] if count == 1 else outputs

    def conv(self, x, w, b, pad):
        return self.node("Conv", [x, w, b], pads=[pad] * 4)

    def dense(self, x, w, b):
        return self.node("Conv", [x, w, b])  # a matrix is stored as a kernel of 1x1

    def haar(self, x):
        return self.node("Conv", [x, self.constant("haar", haar_kernel())], strides=[2, 2])

    def haar_inverse(self, x):
        kernel = self.constant("haar_inverse", 4 * haar_kernel())
        return self.node("ConvTranspose", [x, kernel], strides=[2, 2])

    def split(self, x):
        sizes = self.constant("sizes", np.array([3, 9], np.int64))
        return self.node("Split", [x, sizes], 2, axis=1)

    def tanh_half(self, x):
        return self.node("Tanh", [self.mul(x, self.constant("half", np.array(0.5, np.float32)))])

    leaky = lambda self, x: self.node("LeakyRelu", [x], alpha=0.2)
    relu = lambda self, x: self.node("Relu", [x])
    sigmoid = lambda self, x: self.node("Sigmoid", [x])
    exp = lambda self, x: self.node("Exp", [x])
    neg = lambda self, x: self.node("Neg", [x])
    add = lambda self, a, b: self.node("Add", [a, b])
    sub = lambda self, a, b: self.node("Sub", [a, b])
    mul = lambda self, a, b: self.node("Mul", [a, b])
    concat = lambda self, parts: self.node("Concat", parts, axis=1)
    mean_pixels = lambda self, x: self.node("GlobalAveragePool", [x])
    max_pixels = lambda self, x: self.node("GlobalMaxPool", [x])
    mean_channels = lambda self, x: self.node("ReduceMean", [x], axes=[1])
    max_channels = lambda self, x: self.node("ReduceMax", [x], axes=[1])


class Names(dict):
    """Parameters by name, whose values are names."""

    def __init__(self, params):
        super().__init__((name, Name(name, value.shape)) for name, value in params.items())


class Name(str):
    """A constant's name that knows its shape."""

    def __new__(cls, name, shape):
        self = super().__new__(cls, name)
        self.shape = shape
        return self


def export(params, height, width, path):
    """Writes the network for pictures of one size, with the inputs x and z and the output y."""
    ops = Ops()
    for name, value in params.items():
        ops.constant(name, value.reshape(value.shape + (1, 1)) if value.ndim == 2 else value)
    y = smooth(ops, Names(params), "x", "z")
    ops.nodes.append(helper.make_node("Identity", [y], ["y"], name="out"))
    info = lambda name, c, scale: helper.make_tensor_value_info(
        name, TensorProto.FLOAT, [1, c, height // scale, width // scale]
    )
    inputs, outputs = [info("x", 3, 1), info("z", 9, 2)], [info("y", 3, 1)]
    graph = helper.make_graph(ops.nodes, "sasnet", inputs, outputs, list(ops.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
