"""The routes that clients of MONAI Label ask for, such as its module in 3D Slicer."""
