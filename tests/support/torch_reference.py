"""torchvision's and timm's networks as their state files describe them, in TensorFlow: made up and run at once.

Written from the two packages' documented module names and shapes, independently of keras_resnet, so that importing a
state and running our network can be checked against it.
"""

import numpy as np
import tensorflow as tf

MEAN, STD = np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255
VGG = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class Reference:
    """Calling `resnet` or `vgg` gives logits, and leaves in `state` the tensors that were made up for them."""

    def __init__(self, seed=0):
        self.state = {}
        self._rng = np.random.default_rng(seed)

    def _normal(self, name, shape, scale):
        self.state[name] = (self._rng.normal(size=shape) * scale).astype("float32")
        return self.state[name]

    def _uniform(self, name, count, low, high):
        self.state[name] = self._rng.uniform(low, high, count).astype("float32")
        return self.state[name]

    def conv(self, x, name, out, kernel, stride=1, groups=1, bias=False):
        fan_in = kernel * kernel * x.shape[-1] // groups
        weight = self._normal(f"{name}.weight", (out, x.shape[-1] // groups, kernel, kernel), np.sqrt(2 / fan_in))
        edge = [kernel // 2] * 2
        x = tf.pad(x, [[0, 0], edge, edge, [0, 0]])
        parts = zip(tf.split(x, groups, axis=3), np.split(weight, groups), strict=True)
        x = tf.concat([tf.nn.conv2d(p, w.transpose(2, 3, 1, 0), stride, "VALID") for p, w in parts], axis=3)
        return x + self._normal(f"{name}.bias", (out,), 0.1) if bias else x

    def norm(self, x, name):
        count = x.shape[-1]
        gamma, beta = self._uniform(f"{name}.weight", count, 0.4, 0.8), self._normal(f"{name}.bias", (count,), 0.1)
        mean = self._normal(f"{name}.running_mean", (count,), 0.2)
        variance = self._uniform(f"{name}.running_var", count, 0.6, 1.4)
        self.state[f"{name}.num_batches_tracked"] = np.int64(3)
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def dense(self, x, name, out):
        weight = self._normal(f"{name}.weight", (out, x.shape[-1]), np.sqrt(1 / x.shape[-1]))
        return x @ weight.T + self._normal(f"{name}.bias", (out,), 0.1)

    def resnet(self, pixels, units, *, bottleneck, groups=1, base=64, deep=False, squeeze=False, classes=10):
        """`pixels` (B, H, W, 3) in 0–255 → logits (B, classes)."""
        x = tf.constant((pixels - MEAN) / STD, tf.float32)
        if deep:
            x = tf.nn.relu(self.norm(self.conv(x, "conv1.0", 32, 3, 2), "conv1.1"))
            x = tf.nn.relu(self.norm(self.conv(x, "conv1.3", 32, 3), "conv1.4"))
            x = self.conv(x, "conv1.6", 64, 3)
        else:
            x = self.conv(x, "conv1", 64, 7, 2)
        x = tf.nn.relu(self.norm(x, "bn1"))
        x = tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")
        for stage, count in enumerate(units):
            for unit in range(count):
                stride = 2 if stage and not unit else 1
                options = {"bottleneck": bottleneck, "groups": groups, "base": base, "deep": deep, "squeeze": squeeze}
                x = self._unit(x, f"layer{stage + 1}.{unit}", 64 * 2**stage, stride, **options)
        return self.dense(tf.reduce_mean(x, axis=(1, 2)), "fc", classes).numpy()

    def _unit(self, x, name, filters, stride, *, bottleneck, groups, base, deep, squeeze):
        inner = filters * base // 64 * groups if bottleneck else filters
        convs = [(inner, 1, 1, 1), (inner, 3, stride, groups), (4 * filters, 1, 1, 1)]
        if not bottleneck:
            convs = [(filters, 3, stride, 1), (filters, 3, 1, 1)]
        y = x
        for number, (out, kernel, step, parts) in enumerate(convs, 1):
            y = self.norm(self.conv(y, f"{name}.conv{number}", out, kernel, step, parts), f"{name}.bn{number}")
            y = y if number == len(convs) else tf.nn.relu(y)
        if squeeze:
            s = self.conv(tf.reduce_mean(y, axis=(1, 2), keepdims=True), f"{name}.se.fc1", out // 16, 1, bias=True)
            y = y * tf.sigmoid(self.conv(tf.nn.relu(s), f"{name}.se.fc2", out, 1, bias=True))
        if x.shape[-1] != y.shape[-1] or stride > 1:
            if deep:
                x = tf.nn.avg_pool2d(x, stride, stride, "SAME") if stride > 1 else x
                x = self.norm(self.conv(x, f"{name}.downsample.1", y.shape[-1], 1), f"{name}.downsample.2")
            else:
                x = self.norm(self.conv(x, f"{name}.downsample.0", y.shape[-1], 1, stride), f"{name}.downsample.1")
        return tf.nn.relu(x + y)

    def vgg(self, pixels, depth, *, batch_norm, classes=10):
        """`pixels` (B, 224, 224, 3) in 0–255 → logits (B, classes)."""
        x, index = tf.constant((pixels - MEAN) / STD, tf.float32), 0
        for count, filters in zip(VGG[depth], (64, 128, 256, 512, 512), strict=True):
            for _ in range(count):
                x = self.conv(x, f"features.{index}", filters, 3, bias=True)
                x = tf.nn.relu(self.norm(x, f"features.{index + 1}") if batch_norm else x)
                index += 3 if batch_norm else 2
            x, index = tf.nn.max_pool2d(x, 2, 2, "VALID"), index + 1
        x = tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (len(pixels), -1))  # PyTorch flattens channels first
        x = tf.nn.relu(self.dense(x, "classifier.0", 4096))
        return self.dense(tf.nn.relu(self.dense(x, "classifier.3", 4096)), "classifier.6", classes).numpy()
