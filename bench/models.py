#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the models that the benches use: well-known architectures with random weights.

    pip install numpy onnx
    bench/models.py FOLDER [NAME ...]

Batch normalization is folded already, weights follow He et al. 2015, so activations
neither vanish nor explode; biases are small.  The same bytes every time for the same
version of numpy and onnx.  Without a NAME all are written (about 170 MB).
"""
import math
import os
import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, OPSET_OF_LAYER_NORM, IR_VERSION = 13, 17, 8
RELU6 = "relu6"
RELU = "relu"


class Builder:
    """A graph with one input; methods append nodes and return their output's name."""

    def __init__(self, name, input_shape):
        self.name, self.input_shape = name, input_shape
        self.random = numpy.random.RandomState(0)
        self.nodes, self.constants = [], []

    def constant(self, values):
        name = "c%d" % len(self.constants)
        self.constants.append(numpy_helper.from_array(numpy.asarray(values), name))
        return name

    def node(self, operator, *inputs, **attributes):
        name = "%s_%d" % (operator, len(self.nodes))
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def weight(self, shape, fan_in, gain):
        return self.constant((self.random.randn(*shape) * math.sqrt(gain / fan_in))
                             .astype(numpy.float32))

    def bias(self, n):
        return self.constant((self.random.randn(n) * 0.05).astype(numpy.float32))

    def activate(self, x, activation):
        if activation == RELU6:
            return self.node("Clip", x, self.constant(numpy.float32(0)),
                             self.constant(numpy.float32(6)))
        return self.node("Relu", x) if activation == RELU else x

    def conv(self, x, c_in, c_out, kernel, stride=1, pads=None, groups=1, activation=RELU,
             gain=None):
        """`pads` is [top, left, bottom, right]; half the kernel when left out."""
        kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
        if pads is None:
            pads = [kh // 2, kw // 2] * 2
        if gain is None:
            gain = 2 if activation else 1
        w = self.weight((c_out, c_in // groups, kh, kw), c_in // groups * kh * kw, gain)
        y = self.node("Conv", x, w, self.bias(c_out), kernel_shape=[kh, kw],
                      strides=[stride, stride], pads=pads, group=groups, dilations=[1, 1])
        return self.activate(y, activation)

    def depthwise(self, x, channels, stride=1, activation=RELU):
        return self.conv(x, channels, channels, 3, stride, groups=channels,
                         activation=activation)

    def gemm(self, x, n_in, n_out, activation=None):
        w = self.weight((n_out, n_in), n_in, 2 if activation else 1)
        return self.activate(self.node("Gemm", x, w, self.bias(n_out), transB=1), activation)

    def matmul(self, x, n_in, n_out):
        return self.node("Add", self.node("MatMul", x, self.weight((n_in, n_out), n_in, 1)),
                         self.bias(n_out))

    def max_pool(self, x, kernel, stride, pad=0):
        return self.node("MaxPool", x, kernel_shape=[kernel, kernel],
                         strides=[stride, stride], pads=[pad] * 4)

    def classify(self, x, channels, classes):
        pooled = self.node("Flatten", self.node("GlobalAveragePool", x), axis=1)
        return self.gemm(pooled, channels, classes)

    def model(self, output, shape, opset=OPSET):
        nodes = self.nodes + [helper.make_node("Identity", [output], ["output"])]
        graph = helper.make_graph(
            nodes, self.name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, self.input_shape)],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
            self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return model


def lenet5(name):
    """LeCun et al. 1998, on 28x28 digits."""
    b = Builder(name, [1, 1, 28, 28])
    x = b.max_pool(b.conv("input", 1, 6, 5), 2, 2)
    x = b.max_pool(b.conv(x, 6, 16, 5, pads=[0] * 4), 2, 2)
    x = b.node("Flatten", x, axis=1)
    x = b.gemm(b.gemm(x, 400, 120, RELU), 120, 84, RELU)
    return b.model(b.gemm(x, 84, 10), [1, 10])


def mlp(name):
    """The autoencoder of MLPerf Tiny: 640-128-128-128-128-8-128-128-128-128-640."""
    b = Builder(name, [1, 640])
    x, n_in = "input", 640
    for n_out in [128] * 4 + [8] + [128] * 4:
        x, n_in = b.gemm(x, n_in, n_out, RELU), n_out
    return b.model(b.gemm(x, n_in, 640), [1, 640])


def dscnn(name):
    """The keyword spotter of MLPerf Tiny: 49 x 10 MFCC, twelve words."""
    b = Builder(name, [1, 1, 49, 10])
    x = b.conv("input", 1, 64, (10, 4), 2, pads=[4, 1, 5, 1])
    for _ in range(4):
        x = b.conv(b.depthwise(x, 64), 64, 64, 1)
    return b.model(b.classify(x, 64, 12), [1, 12])


def vww_mobilenet(name):
    """Visual wake words of MLPerf Tiny: MobileNet v1 of width 0.25 on 96x96."""
    b = Builder(name, [1, 3, 96, 96])
    x, c_in = b.conv("input", 3, 8, 3, 2), 8
    blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)]
    for c_out, stride in blocks + [(128, 1)] * 5 + [(256, 2), (256, 1)]:
        x = b.conv(b.depthwise(x, c_in, stride), c_in, c_out, 1)
        c_in = c_out
    return b.model(b.classify(x, c_in, 2), [1, 2])


def basic_block(b, x, c_in, c_out, stride):
    y = b.conv(x, c_in, c_out, 3, stride)
    return b.conv(y, c_out, c_out, 3, activation=None, gain=0.5), c_out


def bottleneck(b, x, c_in, c_mid, stride):
    y = b.conv(b.conv(x, c_in, c_mid, 1), c_mid, c_mid, 3, stride)
    return b.conv(y, c_mid, 4 * c_mid, 1, activation=None, gain=0.3), 4 * c_mid


def residual_stages(b, x, c_in, block, stages):
    """`stages`: (channels, blocks) each; all but the first halve the image."""
    for i, (channels, n_blocks) in enumerate(stages):
        for k in range(n_blocks):
            stride = 2 if i and k == 0 else 1
            y, c_out = block(b, x, c_in, channels, stride)
            if c_in != c_out or stride != 1:
                x = b.conv(x, c_in, c_out, 1, stride, activation=None)
            x, c_in = b.activate(b.node("Add", y, x), RELU), c_out
    return x, c_in


def cifar_resnet(name, n_blocks):
    """He et al. 2016, section 4.2."""
    b = Builder(name, [1, 3, 32, 32])
    x, c = residual_stages(b, b.conv("input", 3, 16, 3), 16, basic_block,
                           [(16, n_blocks), (32, n_blocks), (64, n_blocks)])
    return b.model(b.classify(x, c, 10), [1, 10])


def imagenet_resnet(name, block, n_blocks):
    """He et al. 2016, table 1."""
    b = Builder(name, [1, 3, 224, 224])
    x = b.max_pool(b.conv("input", 3, 64, 7, 2), 3, 2, 1)
    x, c = residual_stages(b, x, 64, block, list(zip((64, 128, 256, 512), n_blocks)))
    return b.model(b.classify(x, c, 1000), [1, 1000])


def inverted_residual(b, x, c_in, c_out, expansion, stride):
    mid = c_in * expansion
    y = x if expansion == 1 else b.conv(x, c_in, mid, 1, activation=RELU6)
    y = b.depthwise(y, mid, stride, RELU6)
    y = b.conv(y, mid, c_out, 1, activation=None)
    return b.node("Add", x, y) if stride == 1 and c_in == c_out else y


def mobilenetv2(name):
    """Sandler et al. 2018, table 2: expansion, channels, blocks, first stride."""
    b = Builder(name, [1, 3, 224, 224])
    x, c_in = b.conv("input", 3, 32, 3, 2, activation=RELU6), 32
    for expansion, c_out, n_blocks, stride in [
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1)]:
        for k in range(n_blocks):
            x = inverted_residual(b, x, c_in, c_out, expansion, 1 if k else stride)
            c_in = c_out
    x = b.conv(x, c_in, 1280, 1, activation=RELU6)
    return b.model(b.classify(x, 1280, 1000), [1, 1000])


def fire(b, x, c_in, squeeze, expand):
    s = b.conv(x, c_in, squeeze, 1)
    return b.node("Concat", b.conv(s, squeeze, expand, 1), b.conv(s, squeeze, expand, 3),
                  axis=1)


def squeezenet11(name):
    """Iandola et al. 2016, version 1.1."""
    b = Builder(name, [1, 3, 224, 224])
    x, c_in = b.conv("input", 3, 64, 3, 2, pads=[0] * 4), 64
    for stage in [[(16, 64), (16, 64)], [(32, 128), (32, 128)],
                  [(48, 192), (48, 192), (64, 256), (64, 256)]]:
        x = b.max_pool(x, 3, 2)
        for squeeze, expand in stage:
            x, c_in = fire(b, x, c_in, squeeze, expand), 2 * expand
    x = b.node("GlobalAveragePool", b.conv(x, c_in, 1000, 1))
    return b.model(b.node("Flatten", x, axis=1), [1, 1000])


def layer_norm(b, x, width):
    gamma = b.constant((1 + 0.1 * b.random.randn(width)).astype(numpy.float32))
    beta = b.constant((0.1 * b.random.randn(width)).astype(numpy.float32))
    return b.node("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-12)


def attention(b, x, length, width, heads):
    split = b.constant(numpy.array([1, length, heads, width // heads], numpy.int64))
    join = b.constant(numpy.array([1, length, width], numpy.int64))
    q, k, v = (b.node("Reshape", b.matmul(x, width, width), split) for _ in range(3))
    q = b.node("Transpose", q, perm=[0, 2, 1, 3])
    k = b.node("Transpose", k, perm=[0, 2, 3, 1])
    v = b.node("Transpose", v, perm=[0, 2, 1, 3])
    scale = b.constant(numpy.float32(math.sqrt(width // heads)))
    scores = b.node("Softmax", b.node("Div", b.node("MatMul", q, k), scale), axis=-1)
    mixed = b.node("Transpose", b.node("MatMul", scores, v), perm=[0, 2, 1, 3])
    return b.matmul(b.node("Reshape", mixed, join), width, width)


def gelu(b, x):
    """Spelled with Erf, as exporters do."""
    root, one, half = (b.constant(numpy.float32(v)) for v in (math.sqrt(2), 1, 0.5))
    erf = b.node("Erf", b.node("Div", x, root))
    return b.node("Mul", b.node("Mul", x, b.node("Add", erf, one)), half)


def bert_tiny(name, n_layers=2, length=128, width=128, heads=2):
    """Turc et al. 2019, without the embedding table."""
    b = Builder(name, [1, length, width])
    x = "input"
    for _ in range(n_layers):
        x = layer_norm(b, b.node("Add", attention(b, x, length, width, heads), x), width)
        y = b.matmul(gelu(b, b.matmul(x, width, 4 * width)), 4 * width, width)
        x = layer_norm(b, b.node("Add", y, x), width)
    return b.model(x, [1, length, width], OPSET_OF_LAYER_NORM)


MODELS = {
    "lenet5": lenet5,
    "mlp": mlp,
    "dscnn_kws": dscnn,
    "vww_mobilenet_025": vww_mobilenet,
    "resnet8": lambda name: cifar_resnet(name, 1),
    "resnet20": lambda name: cifar_resnet(name, 3),
    "resnet18": lambda name: imagenet_resnet(name, basic_block, [2, 2, 2, 2]),
    "resnet50": lambda name: imagenet_resnet(name, bottleneck, [3, 4, 6, 3]),
    "mobilenetv2": mobilenetv2,
    "squeezenet11": squeezenet11,
    "bert_tiny": bert_tiny,
}


def main():
    if len(sys.argv) < 2 or any(name not in MODELS for name in sys.argv[2:]):
        sys.exit(__doc__ + "\nmodels: " + " ".join(MODELS))
    os.makedirs(sys.argv[1], exist_ok=True)
    for name in sys.argv[2:] or MODELS:
        path = os.path.join(sys.argv[1], name + ".onnx")
        onnx.save(MODELS[name](name), path)
        print("%10d  %s" % (os.path.getsize(path), path))


if __name__ == "__main__":
    main()
