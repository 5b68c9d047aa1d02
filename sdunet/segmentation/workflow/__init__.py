"""Steps of the MONAI bundle of a package, which its configurations name by `sdunet.bundle`."""
