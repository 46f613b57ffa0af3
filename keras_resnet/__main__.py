"""`python -m keras_resnet` is `kresnet`."""

from keras_resnet.commands import main

main()
