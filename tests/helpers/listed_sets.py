"""Sets of 2D images as folders of pairs and as tables, by file name."""

from bad_sets import mask, picture, png


def pairs(folders, names="ab", images="images", masks="masks"):
    """Images and masks below each folder, all images of other pixels."""
    files = {}
    for k, folder in enumerate(folders):
        for name in names:
            files[folder.format(images) + f"/{name}.png"] = png(picture(100 * k + ord(name)))
            files[folder.format(masks) + f"/{name}.png"] = png(mask())
    return files


def table(head, *rows):
    files = pairs(["{}"], "abcd", "i", "m")
    text = [head, *(f"i/{n}.png,m/{n}.png,{row}" for n, row in zip("abcd", rows, strict=True))]
    return {**files, "list.csv": "\n".join(text).encode()}
