"""What tags of TIFF say of its pixels."""
