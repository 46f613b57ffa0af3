"""kresnet from Python: what `keras_resnet.train` and the names beside it are; the commands call the same functions."""
