"""What the machine can do, and what TensorFlow is to use of it."""
