"""Records of one case each are judged together, as a table is; what all or none share is silent."""

import json
from itertools import product
from time import perf_counter

import pytest
from bad_sets import picture, png

from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.layouts.folders.case_records import _record

IDS = [f"k{n}" for n in range(6)]
PAIRS = {f"{folder}/{id_}.png": png(picture(n)) for folder in ("images", "masks")
         for n, id_ in enumerate(IDS)}  # fmt: skip
FOLDERS = {f"{id_}/{file}.png": png(picture(n)) for file in ("image", "mask")
           for n, id_ in enumerate(IDS)}  # fmt: skip
PAIRED, SPLIT = "ppqqrr", ("train", "train", "train", "val", "test", "test")


def told(written, sets, place, texts):
    """Return what is told of a text for each case, `*` in its place being the case."""
    files = {place.replace("*", id_): text.encode() for id_, text in zip(IDS, texts, strict=True)}
    findings = find_layout(open_tree(written({**sets, **files})), need_labels=True).findings
    return [(f.level, f.code, f.file, getattr(f, "about", ())) for f in findings]


def warned(place, *about):
    return [("warning", "LAY_UNUSED", place.replace("*", "k0"), about)]


def texts_of(form, values):
    return [form.replace("{}", value) for value in values]


PLACES = [
    *((PAIRS, f"{folder}/*.json") for folder in ("images", "masks", "meta")),
    (PAIRS, "images/*_info.json"),
    (PAIRS, "more/*/about.json"),
    *((FOLDERS, f"*/{name}.json") for name in ("meta", "info", "*", "*_x", "sub/meta")),
]
WHOSE = (
    *("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "SubjectID", "subject"),
    *("participant_id", "patient_id", "patient"),
)


@pytest.mark.parametrize(("sets", "place"), PLACES, ids=[place for _, place in PLACES])
def test_what_some_cases_share_is_warned_of_wherever_the_records_lie(written, sets, place):
    texts = [
        json.dumps({"split": s, "who": {"patient": p}}) for s, p in zip(SPLIT, PAIRED, strict=True)
    ]
    assert told(written, sets, place, texts) == warned(place, "split", "groups")


@pytest.mark.parametrize("key", WHOSE)
def test_keys_of_patients_are_told(written, key):
    texts = [json.dumps({key: f"1.2.{p}", "SeriesNumber": n}) for n, p in enumerate(PAIRED)]
    assert told(written, PAIRS, "images/*.json", texts) == warned("images/*.json", "groups")


FORMS = {
    "info.json": ('[{"x": 1, "split": "{}"}]', '{"meta": {"split": "{}"}}', '{"is_{}": true}'),
    "info.txt": ("split: {}\nage: 9\n", "x = 1\r\nsplit = {}\r\n", "# of it\n- Split: '{}'\n"),
    "info.yaml": ("split: {}\n", 'meta:\n  split: "{}"\n', "age: 9\nset: {}\n"),
    "info.ini": ("[case]\nsplit={}\n",),
    "info.toml": ('split = "{}"\n',),
    "info": ("split: {}\n",),
    "a.xml": ("<a><split>{}</split></a>", "<a>\n<case split='{}'/></a>", "<a id='1'><set x='1'> {}"
              "</set></a>"),
    "meta.csv": ("split,age\n{},9\n", "age,9\nsplit,{}\n"),
    "split.txt": ("{}\n",),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "form"), [(name, form) for name, forms in FORMS.items() for form in forms]
)
def test_a_split_is_told_in_whatever_text_it_is_written(written, name, form):
    place = f"*/{name}"
    assert told(written, FOLDERS, place, texts_of(form, SPLIT)) == warned(place, "split")


@pytest.mark.parametrize(("suffix", "form"), [("txt", "split: {}"), ("xml", "<split>{}</split>"),
                                              ("txt", "{}")])  # fmt: skip
def test_beside_labels_as_well_and_where_all_are_for_testing(written, suffix, form):
    place = f"masks/*.{suffix}"
    assert told(written, PAIRS, place, texts_of(form, SPLIT)) == warned(place, "split")
    alone = warned(place, "split") if form != "{}" else []
    assert told(written, PAIRS, place, texts_of(form, ["test"] * 6)) == alone


def test_cases_to_leave_out_are_told(written):
    texts = [json.dumps({"exclude": n == 3}) for n in range(6)]
    assert told(written, FOLDERS, "*/meta.json", texts) == warned("*/meta.json")


def test_records_of_the_cases_for_testing_alone_are_told(written):
    files = {f"{id_}/meta.json": b'{"split": "test"}' for id_ in IDS[4:]}
    layout = find_layout(open_tree(written({**FOLDERS, **files})), need_labels=True)
    assert [f.file for f in layout.findings] == ["k4/meta.json"]


def test_a_record_that_is_cut_is_read_by_its_lines(written):
    texts = [json.dumps({"PatientID": p, "x": [0] * 70_000}, indent=0) for p in PAIRED]
    assert told(written, PAIRS, "images/*.json", texts) == warned("images/*.json", "groups")


@pytest.mark.parametrize("indent", [None, 2])
def test_what_shapes_in_a_record_are_grouped_by_is_silent(written, indent):
    shapes = [[{"label": "test", "group_id": n // 2, "patient": n // 2}] for n in range(6)]
    texts = [json.dumps({"shapes": s, "data": "A" * 70_000}, indent=indent) for s in shapes]
    assert not told(written, PAIRS, "images/*.json", texts)


def test_what_is_numbered_as_cases_are_is_of_none(written):
    sets = {name.replace("/k", "/"): data for name, data in PAIRS.items()}
    files = {f"runs/result_{n}.json": b'{"set": "%s"}' % p.encode() for n, p in enumerate(SPLIT)}
    assert not find_layout(open_tree(written(sets | files)), need_labels=True).findings


def test_folds_of_a_column_each_are_told(written):
    texts = [f"fold_0: {n < 3}\nfold_1: {n > 2}\n" for n in range(6)]
    assert told(written, FOLDERS, "*/info.txt", texts) == warned("*/info.txt", "split")


SCANNED = [
    {"Modality": "MR", "PatientName": "anon", "PatientID": f"p{n}", "StudyID": str(n // 2),
     "SeriesNumber": n, "SequenceName": f"spc{n // 2}", "ProtocolName": f"T{n % 2}",
     "ImageType": ["ORIGINAL", "M"], "StationName": f"MR{n % 2}", "InstitutionName": "A",
     "TestMode": n % 2, "PatientSex": "MF"[n % 2], "PatientPosition": ("HFS", "FFS")[n % 2],
     "PatientAge": f"0{n // 2}0Y", "PatientWeight": 60 + n // 2}
    for n in range(6)
]  # fmt: skip
SILENT = {
    "scanner.json": [json.dumps(record) for record in SCANNED],
    "spacing.json": [json.dumps({"spacing": [3, 0.5, 0.5 + n % 2]}) for n in range(6)],
    "one.json": ['{"patient": "anonymous", "site": "A", "split": "train"}'] * 6,
    "own.json": [json.dumps({"patient": f"p{n}", "split": "train"}) for n in range(6)],
    "dcmqi.json": [
        json.dumps({"ContentCreatorName": f"Reader{n % 2}", "ClinicalTrialSeriesID": "S1",
                    "segmentAttributes": [[{"labelID": 1, "SegmentLabel": "liver"}]]})
        for n in range(6)
    ],
    "params.json": ['{"setting": {"binWidth": 25}, "imageType": {"Original": {}}}'] * 6,
    "counts.json": [json.dumps({"train": 9 + n, "val": n, "test": n // 2}) for n in range(6)],
    "dice.json": [json.dumps({"dice": n / 9, "val_loss": n // 2 / 7}) for n in range(6)],
    "README.md": [f"# Case\n\nNote: the fold of skin {n % 2} is in view of the test.\n"
                  for n in range(6)],
    "report.txt": [f"Findings: skin fold {n % 2}\nTest: none\nThe patient: see above\n"
                   for n in range(6)],
    "Info.txt": [f"ED: 1\nES: {n}\nGroup: {'DCM' if n % 2 else 'NOR'}\nNbFrame: 30\n"
                 for n in range(6)],
    "voc.xml": [f"<annotation><folder>VOC</folder><object><name>cat</name><pose>{n % 2}</pose>"
                "</object><object><name>dog</name></object></annotation>" for n in range(6)],
    "organ.txt": [("liver", "spleen")[n % 2] for n in range(6)],
    "points.csv": [f"x,y\n1,{n % 2}\n2,3\n" for n in range(6)],
    "sites.yaml": [f"site: {'AB'[n % 2]}\nsex: {'MF'[n % 2]}\n" for n in range(6)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("place", "name"), list(product(("images/*", "*/"), SILENT)), ids=lambda x: x.strip("*/")
)
def test_measures_scanners_prose_and_what_all_or_none_share_are_silent(written, place, name):
    sets = PAIRS if place == "images/*" else FOLDERS
    at = f"images/*{name[name.index('.') :]}" if place == "images/*" else f"*/{name}"
    assert not told(written, sets, at, SILENT[name])


def test_what_the_dataset_states_itself_is_not_told_again(written):
    rows = [
        f"images/{k}.png,masks/{k}.png,{s},{p}" for k, s, p in zip(IDS, SPLIT, PAIRED, strict=True)
    ]
    listed = "\n".join(("image,label,split,patient", *rows)).encode()
    texts = [json.dumps({"split": s, "patient": p}) for s, p in zip(SPLIT, PAIRED, strict=True)]
    found = told(written, {**PAIRS, "list.csv": listed}, "images/*.json", texts)
    assert not [level for level, code, *_ in found if code == "LAY_UNUSED"]


@pytest.mark.parametrize("suffix", [".txt", ".xml", ".json", ".csv"])
@pytest.mark.parametrize("text", ["<{}", "<a {}", '"{}', "{}: ", " {}=", "<a>", "\n", " ", ",;"])
def test_what_is_no_record_is_read_at_once(written, text, suffix):
    long = text.replace("{}", "a-" * 30_000) + text[-1] * 30_000
    tree = open_tree(written({f"a/x{suffix}": (long + "<a>" + " " * 2000).encode() * 20}))
    start = perf_counter()
    assert len(_record(tree, f"a/x{suffix}", "x")) < 3
    assert perf_counter() - start < 1  # of a search that takes minutes where time grows by squares
