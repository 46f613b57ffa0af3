"""`python -m keras_resnet` is `kresnet`."""

from keras_resnet.cli.main import main

main()
