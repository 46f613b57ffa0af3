"""What is wrong with a dataset: unreadable files, duplicates, bad images, class imbalance, suspected label errors."""
