"""From bytes to two views of each image, in an order that can be resumed."""
