"""Every file of an input is predicted or named, and predictions of other inputs are told."""

import shutil

from sdunet.cli.main import main


def run(*arguments):
    return main([str(a) for a in arguments])


def test_predictions_of_other_inputs_in_the_folder_are_told(disc_run, tmp_path, capsys):
    raw, root, _ = disc_run
    for folder, names in (("one", "01"), ("two", "12")):
        (tmp_path / folder).mkdir()
        for name in names:
            shutil.copy(raw / f"images/disc_{name}.png", tmp_path / folder)
    shutil.copy(raw / "images/disc_5.png", tmp_path / "two/disc_1.png")
    out = ("--model", root / "run", "-o", tmp_path / "p")
    assert run("predict", "-i", tmp_path / "one", *out) == 0
    assert "PRED_KEPT" not in capsys.readouterr().err
    assert run("predict", "-i", tmp_path / "two", *out) == 0
    said = capsys.readouterr().err
    assert "PRED_KEPT: 1 predictions of cases that are not in this input stay" in said
    assert "disc_0" in said
    assert "case disc_1 takes the place of a prediction of another image" in said
    assert run("predict", "-i", tmp_path / "two", *out) == 0
    assert "takes the place" not in capsys.readouterr().err


def test_a_run_in_place_of_scans_is_told(disc_run, tmp_path, capsys):
    _, root, _ = disc_run
    assert run("predict", "--model", root / "run", "-i", root / "run", "-o", tmp_path / "p") == 1
    assert "LAY_UNKNOWN: run holds a trained network, no data" in capsys.readouterr().err
    shutil.copy(root / "raw/images/disc_0.png", root / "run")  # of whoever has scans there
    run("predict", "--model", root / "run", "-i", root / "run", "-o", tmp_path / "p")
    assert (tmp_path / "p/disc_0.png").is_file()


def test_every_file_of_the_input_is_predicted_or_named(disc_run, tmp_path, capsys):
    _, root, _ = disc_run
    images = tmp_path / "images"
    shutil.copytree(root / "raw/images", images)
    (images / "notes.txt").write_text("seen by A. B.")
    given = ("predict", "--model", root / "run", "-i", images)
    assert run(*given, "-o", tmp_path / "all") == 0
    assert "layout images, 6 cases" in capsys.readouterr().err
    (images / "disc_7.gif").write_bytes(b"GIF89a")
    (images / "p8.nii.gz.part").write_bytes(b"half")
    assert run(*given, "-o", tmp_path / "left") == 1
    said = capsys.readouterr().err
    assert (
        "LAY_UNUSED: 2 files that may hold cases are not read: disc_7.gif, p8.nii.gz.part" in said
    )
    assert len(list((tmp_path / "left").glob("*.png"))) == 6
    assert run(*given, "-o", tmp_path / "accepted", "--accept", "LAY_UNUSED") == 0
    (tmp_path / "cases.txt").write_text("disc_1\n")
    assert run(*given, "-o", tmp_path / "one", "--cases", tmp_path / "cases.txt") == 0


def test_ids_of_which_one_file_may_be_of_both_are_refused_and_nothing_is_lost(
    disc_run, tmp_path, capsys
):
    raw, root, _ = disc_run
    images = tmp_path / "images"
    images.mkdir()
    given = ("predict", "--model", root / "run", "-i", images, "-o")

    def listed(*ids):
        for number in range(len(ids)):
            shutil.copy(raw / f"images/disc_{number}.png", images)
        rows = (f"disc_{number}.png,{id_}\n" for number, id_ in enumerate(ids))
        (images / "list.csv").write_text("image,id\n" + "".join(rows))

    listed("x", "x.seg")
    assert run(*given, tmp_path / "both") == 1
    assert "CASE_NAME case x.seg: a file x.seg.nrrd may be of it and of case x" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "both").exists()
    listed("x.seg")
    assert run(*given, tmp_path / "later") == 0
    before = (tmp_path / "later/x.seg.png").read_bytes()
    listed("X", "y")
    assert run(*given, tmp_path / "later") == 1
    assert "CASE_NAME case x.seg" in capsys.readouterr().err
    assert (tmp_path / "later/x.seg.png").read_bytes() == before
