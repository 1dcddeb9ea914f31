"""Data sets from CSV files, data frames and PyTorch data sets: what is read, what is said, what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import IterableDataset, TensorDataset

from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import Episodes
from metaenv.supervised.families.image_files import load_images
from metaenv.supervised.registry import make_learner

NUMBERS = "cell,donor,a,b,kind\nc1,x,1.5,2,T\nc2,x,0.5,4,B\nc3,y,2.5,6,T\n"


def read(tmp_path, text, target="kind", **choices):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Dataset.from_csv(path, target, **choices)


def test_the_columns_of_a_table(tmp_path):
    data = read(tmp_path, NUMBERS, group="donor", ids="cell")
    assert data.x.tolist() == [[1.5, 2], [0.5, 4], [2.5, 6]]
    assert data.y.tolist() == ["T", "B", "T"] and data.groups.tolist() == ["x", "x", "y"]
    assert data.ids.tolist() == ["c1", "c2", "c3"]
    assert data.notes == ("features are all other columns of numbers: a, b",)
    assert data.take([0]).notes == data.notes
    chosen = read(tmp_path, NUMBERS, "a", features=["b"], group="donor")
    assert chosen.x.tolist() == [[2], [4], [6]] and chosen.y.tolist() == [1.5, 0.5, 2.5]
    assert chosen.y.dtype.kind == "f" and chosen.notes == ()


@pytest.mark.parametrize(
    ("text", "choices", "x", "y", "note"),
    [
        ("a;kind\n1,5;T\n2,5;é\n".encode("cp1252"), {}, [[1.5], [2.5]], ["T", "é"], "decimal comma"),
        ("a,kind\n1 mg,T\n2 mg,B\n", {}, [[1], [2]], ["T", "B"], "the unit 'mg'"),
        ("a,kind\n1,T\na,kind\n2.5,B\n", {}, [[1], [2.5]], ["T", "B"], "the header comes again"),
        ("a,kind\n1.5,0\n2.5,1\n", {}, [[1.5], [2.5]], [0, 1], "the values 0, 1 are taken for classes"),
        ("a,kind\n1.5,0\n2.5,1\n", {"kind": "regression"}, [[1.5], [2.5]], [0.0, 1.0], "all rows are one task"),
        ("a,kind\n1.5,10\n2.5,30\n", {}, [[1.5], [2.5]], [10.0, 30.0], "the whole numbers are amounts"),
        ("a,kind\n1.5,10\n2.5,30\n", {"kind": "classification"}, [[1.5], [2.5]], [10, 30], "features are all other"),
        ("a,kind\n1.5,12\n2.5,3F\n", {"kind": "classification"}, [[1.5], [2.5]], ["12", "3F"], "features are all"),
        ("a,kind\n1.5,True\n2.5,False\n", {}, [[1.5], [2.5]], ["True", "False"], "features are all other"),
        ("a,kind\nTrue,T\nFalse,B\n", {}, [[1], [0]], ["T", "B"], "a: true and yes are read as 1"),
        ("a,day,kind\n1.5,2024-01-05,T\n2.5,2024-02-05,B\n", {}, [[1.5], [2.5]], ["T", "B"], "day holds dates"),
        ("a,dye,kind\n1.5,red,T\n2.5,blue,B\n", {}, [[1.5], [2.5]], ["T", "B"], "dye holds words"),
        ("a,e,kind\n1.5,,T\n2.5,,B\n", {}, [[1.5], [2.5]], ["T", "B"], "e is empty"),
        ("a,patient_id,kind\n1.5,7,T\n2.5,7,B\n", {}, [[1.5], [2.5]], ["T", "B"], "patient_id tells rows apart"),
        ("n,a,kind\n1,5,T\n2,5.5,B\n3,1,B\n", {}, [[5], [5.5], [1]], ["T", "B", "B"], "n tells rows apart"),
        ("a,b,kind\n1.5,7,T\n2.5,7,B\n", {}, [[1.5, 7], [2.5, 7]], ["T", "B"], "b: the same in all rows"),
        ("a,kind\n20000000,T\n20000001,B\n", {}, [[2e7], [2e7]], ["T", "B"], "less than float32 can hold"),
        ("a,kind\n1,T\n,B\n3,\n2,B\n", {"missing": "drop"}, [[1], [2]], ["T", "B"], "2 of 4 rows lack a value of a, k"),
        ("a,kind\n1.5,T\n?,B\n2,NA\n", {"missing": "drop"}, [[1.5]], ["T"], "2 of 3 rows lack"),
        ("a,kind\n1.5,T\n2.5,B\n3,B\n", {"least": 2}, [[2.5], [3]], ["B", "B"], "fewer than 2 samples: T"),
        ("a,g,kind\n1.5,u,.5\n2.5,v,.1\n3,v,.2\n", {"least": 2, "group": "g"}, [[2.5], [3]], [0.1, 0.2], "samples: u"),
        ("\ta\tkind\nAAAC-1\t1\tT\nAAAG-1\t2.5\tB\n", {}, [[1], [2.5]], ["T", "B"], "column 1 has no name"),
    ],
)  # fmt: skip
def test_what_is_assumed_or_left_out_is_said(tmp_path, text, choices, x, y, note):
    data = read(tmp_path, text, **choices)
    assert data.x.tolist() == x and data.y.tolist() == y
    assert np.array(y).dtype.kind == data.y.dtype.kind
    assert note in "\n".join(data.notes)


def test_of_many_columns_twelve_are_named(tmp_path):
    head, one = ",".join(f"c{k}" for k in range(14)), ",".join(["7"] * 14)
    text = f"a,{head},kind\n1.5,{one},T\n2.5,{one},B\n"
    first = ", ".join(f"c{k}" for k in range(12))
    assert f"{first} and 2 more: the same in all rows" in "\n".join(read(tmp_path, text).notes)
    fewer = text.replace(",c12,c13", "").replace(one, ",".join(["7"] * 12))
    assert f"{first}: the same in all rows" in "\n".join(read(tmp_path, fewer).notes)


@pytest.mark.parametrize(
    ("text", "choices", "message"),
    [
        ("", {}, r"t.csv: the file is empty"),
        ("a,kind\n", {}, r"t.csv has a header but no rows"),
        ("a,b,kind\n1,2,T\n1,2\n", {}, r"t.csv, row 3: expected 3 cells"),
        ("a,a,kind\n1,2,T\n", {}, r"'a' is the name of columns 1 and 2"),
        (b"PK\x03\x04rest", {}, r"Excel workbook"),
        ("a,kind\n1,T\n2,B\n", {"target": "Kind"}, r"no column 'Kind'; it has a, kind; did you mean 'kind'"),
        ("a,kind\n1,T\n2,B\n", {"features": "a"}, r"features as a list of columns, got 'a'"),
        ("a,kind\n1,T\n2,B\n", {"features": []}, r"at least one feature"),
        ("a,kind\n1,T\n2,B\n", {"features": ["a", "a"]}, r"'a' is named twice"),
        ("a,kind\n1,T\n2,B\n", {"features": ["kind"]}, r"'kind' is named twice"),
        ("a,kind\n1,T\n2,B\n", {"group": "kind"}, r"'kind' is the target"),
        ("a,kind\nred,T\nblue,B\n", {}, r"no column of numbers beside kind"),
        ("a,kind\nred,T\nblue,B\n", {"features": ["a"]}, r"row 2, column a: expected a number as feature, got 'red'"),
        ("a,kind\n2024-01-05,T\n", {"features": ["a"]}, r"row 2, column a: .*write days since"),
        ("a,kind\n1,T\nred,B\n", {}, r"row 3, column a: expected a finite number.*columns to take in features"),
        ("a,kind\n,T\n,B\n", {"features": ["a"]}, r"column a is empty; take it out"),
        ("a,kind\n1,T\n,B\n3,\n", {}, r"row 3, column a: the cell is empty \(2 rows.*missing='drop'"),
        ("a,kind\n1,T\nNaN,B\n", {}, r"row 3, column a: 'NaN' stands for a missing value"),
        ("a,kind\n1,T\n2,\n", {}, r"row 3, column kind: the cell is empty; fill it in"),
        ("a,g,kind\n1,x,T\n2,NA,B\n", {"group": "g"}, r"row 3, column g: 'NA' stands for a missing"),
        ("a,kind\n1,\n2,\n", {"missing": "drop"}, r"each row of .* lacks something, most often kind"),
        ("a,kind\n1,T\n2,B\n", {"missing": "mean"}, r"missing='refuse' or 'drop'"),
        ("a,i,kind\n1,s,T\n2,s,B\n", {"ids": "i"}, r"row 3, column i: 's' is an id for the second time \(.*row 2"),
        ("a,kind\n1,0.5\n2,high\n", {}, r"row 3, column kind: expected a finite number.*takes all cells for words"),
        ("a,kind\n1,0.5\n2,1.5\n", {"kind": "classification"}, r"row 2, column kind: expected a whole number or"),
        ("a,kind\n1,T\n2,B\n", {"kind": "regression"}, r"row 2, column kind: expected numbers for regression, got 'T'"),
        ("a,kind\n1,T\n1e300,B\n", {}, r"range of float32, got more in row 1"),
        ("a,kind\n1,0.5\n1,1e300\n", {}, r"y within 3e38.*got 1e\+300"),
        ("a,kind\n1,T\n2,B\n", {"least": 2}, r"at least 2 samples, the largest has 1"),
        ("a,kind\n1.2.3,T\n2,B\n", {}, r"row 2, column a: expected a finite number"),
    ],
)  # fmt: skip
def test_what_is_refused_says_where_and_what_to_do(tmp_path, text, choices, message):
    with pytest.raises(ValueError, match=message) as refusal:
        read(tmp_path, text, **choices)
    assert "\n" not in str(refusal.value)


def test_classes_too_small_for_an_episode_are_refused_with_the_remedy(tmp_path):
    data = read(tmp_path, "a,kind\n1,T\n2,B\n3,B\n4.5,C\n7,C\n")
    with pytest.raises(ValueError, match=r"class 'T' has 1 samples.*data.without_small\(data.y, 2\)"):
        Episodes(data, 1, 1, n_way=2)
    assert Episodes(data.without_small(data.y, 2), 1, 1, n_way=2).draw(1).support_x.shape == (1, 2, 1)


class Frame:
    """What pandas and polars have in common."""

    def __init__(self, **columns):
        self.columns = list(columns)
        self._data = {name: np.array(values) for name, values in columns.items()}

    def __getitem__(self, name):
        return self._data[name]


@pytest.mark.parametrize("frame", [Frame, dict])
def test_a_frame_gives_what_its_csv_file_gives(tmp_path, frame):
    table = frame(cell=["c1", "c2", "c3"], donor=["x", "x", "y"], a=[1.5, 0.5, 2.5], b=[2, 4, 6], kind=["T", "B", "T"])
    for choices in ({"target": "kind", "group": "donor", "ids": "cell"}, {"target": "a", "group": "donor"}):
        assert Dataset.from_dataframe(table, **choices).sha256 == read(tmp_path, NUMBERS, **choices).sha256
    with pytest.raises(ValueError, match=r"row 1 \(counted from 0\), column a: 'nan' stands for a missing value"):
        Dataset.from_dataframe(frame(a=[1.5, np.nan], kind=["T", "B"]), "kind")
    with pytest.raises(ValueError, match=r"row 1 \(counted from 0\), column kind: the cell is empty"):
        Dataset.from_dataframe(frame(a=[1.5, 2], kind=np.array(["T", None], object)), "kind")
    truth = Dataset.from_dataframe(frame(a=[True, False], kind=[True, False]), "kind")
    assert truth.y.tolist() == ["True", "False"] and truth.x.tolist() == [[1], [0]]
    days = frame(a=[1.0, 2.5], day=np.array(["2024-01-05", "2024-01-06"], "M8[D]"), kind=["T", "B"])
    assert "day holds dates and is left out" in Dataset.from_dataframe(days, "kind").notes


def test_what_is_no_frame_is_refused():
    for wrong in ([[1, 2]], np.zeros((2, 2)), Frame(), "t.csv"):
        with pytest.raises(ValueError, match="expected a data frame in memory"):
            Dataset.from_dataframe(wrong, "y")
    twice = Frame(a=[1.0], y=["T"])
    twice.columns.append("a")
    with pytest.raises(ValueError, match="different, single names, got 'a'"):
        Dataset.from_dataframe(twice, "y")
    with pytest.raises(ValueError, match=r"one value in each cell of column a, got an array \(1, 2\)"):
        Dataset.from_dataframe(Frame(a=[[1.0, 2.0]], y=["T"]), "y")


def test_frames_of_pandas_with_categories_and_missing_values():
    pandas = pytest.importorskip("pandas", reason="optional: the doors do not import it")
    frame = pandas.DataFrame({"a": [1.5, 2.5, 3.5], "b": pandas.array([1, None, 3], "Int64"), "y": [3, 7, 3]})
    frame["y"] = frame["y"].astype("category")
    frame.index = [10, 20, 30]
    data = Dataset.from_dataframe(frame, "y", missing="drop")
    assert data.x.tolist() == [[1.5, 1], [3.5, 3]] and data.y.tolist() == ["3", "3"]
    with pytest.raises(ValueError, match=r"row 1 \(counted from 0\), column b: '(nan|<NA>)' stands for a missing"):
        Dataset.from_dataframe(frame, "y")


def test_words_are_columns_of_the_whole_table_where_they_are_categories(tmp_path):
    text = "base,name,T,dry,y\nKOH,r1,20,yes,1.5\nNaOH,r2,30,no,2.5\n,r3,40,yes,3.5\nKOH,r4,50,no,0.5\n"
    data = read(tmp_path, text, "y", categories=True, missing="drop")
    assert data.features == ("base=KOH", "base=NaOH", "T", "dry")
    assert data.x.tolist() == [[1, 0, 20, 1], [0, 1, 30, 0], [1, 0, 50, 0]]
    assert "base: a column of 0 and 1 for each of its 2 words in the whole table" in data.notes
    assert "name has another word in each row and is left out; name it in features to use it" in data.notes
    assert data.take([1]).features == data.features and data.take([1]).x.tolist() == [[0, 1, 30, 0]]
    with pytest.raises(ValueError, match="row 4, column base: the cell is empty"):
        read(tmp_path, text, "y", categories=True)
    named = read(tmp_path, text, "y", features=["name"], categories=True)
    assert named.x.tolist() == np.eye(4).tolist() and named.features[2] == "name=r3"
    frame = Dataset.from_dataframe({"base": ["a", "b", "a"], "y": [1.0, 2.0, 3.0]}, "y", categories=True)
    assert frame.x.tolist() == [[1, 0], [0, 1], [1, 0]]
    with pytest.raises(ValueError, match="no column of numbers or categories beside y"):
        read(tmp_path, "when,y\n2024-01-05,1\n2024-01-06,2\n", "y", categories=True)


# PYTORCH


class Pictures(list):
    classes = ("cat", "dog")


def test_samples_of_pytorch():
    x, y = torch.rand(4, 3), torch.tensor([0, 1, 1, 0])
    data = Dataset.from_torch(TensorDataset(x, y), groups=["p", "p", "q", "q"])
    assert torch.equal(data.x, x) and data.y.tolist() == y.tolist() and data.y.dtype.kind == "i"
    assert data.groups.tolist() == ["p", "p", "q", "q"] and data.notes == ()
    amounts = Dataset.from_torch(TensorDataset(x, y.float()))
    assert amounts.y.dtype.kind == "f"
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    pictures = Dataset.from_torch(
        Pictures((Image.fromarray(p), label) for p, label in zip(pixels, (1, 0), strict=True))
    )
    assert pictures.x.dtype == torch.uint8 and (pictures.x.numpy() == pixels.transpose(0, 3, 1, 2)).all()
    assert pictures.y.tolist() == ["dog", "cat"] and pictures.notes == (
        "labels are called by their names in Pictures.classes",
    )
    grey = Dataset.from_torch([(Image.fromarray(pixels[0, ..., 0]), "a")])
    assert grey.x.shape == (1, 1, 4, 5)


class Stream(IterableDataset):
    def __iter__(self):
        yield torch.zeros(2), 0


class LongStream(Stream):
    def __len__(self):
        return 1


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Stream(), r"map-style.*got Stream.*list\(dataset\)"),
        (LongStream(), r"map-style.*got LongStream"),
        (iter([]), r"map-style"),
        ([], r"list is empty"),
        ([torch.zeros(2)], r"sample 0 of list: expected a pair \(x, y\), got Tensor"),
        ([(torch.zeros(2), 0, 1)], r"sample 0 of list: expected a pair \(x, y\), got 3 values"),
        ([(torch.zeros(2), 0), (torch.zeros(3), 0)], r"sample 1 .*float32 \(2,\), got float32 \(3,\); resize or pad"),
        ([(torch.zeros(2), 0), (torch.zeros(2).byte(), 0)], r"sample 1 .*got uint8 \(2,\)"),
        ([(torch.tensor(1.0), 0)], r"sample 0 .*a single number needs x\[None\]"),
        ([("text", 0)], r"sample 0 of list: expected x as an array of numbers, got str"),
        ([(torch.zeros(2), torch.eye(3)[0])], r"sample 0 .*one label or number as y, got Tensor of .*argmax"),
        ([(torch.zeros(2), None)], r"sample 0 .*one label or number as y, got NoneType"),
        ([(torch.zeros(2), "a"), (torch.zeros(2), 1)], r"labels that are all names or all numbers"),
        ([(torch.tensor([torch.nan]), 0)], r"finite x, got NaN"),
    ],
)  # fmt: skip
def test_what_gives_no_samples_is_refused(dataset, message):
    with pytest.raises(ValueError, match=message):
        Dataset.from_torch(dataset)


# PICTURES IN FOLDERS


def test_a_folder_of_pictures_gives_the_same_in_episodes_and_adapt(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog", "owl"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    data = load_images(tmp_path, side=8)
    assert data.x.dtype == torch.uint8
    episodes = Episodes(data, 2, 1, n_way=2)
    learner = make_learner("prototypical", episodes.problem).meta_fit(episodes, 1)
    batch = episodes.draw(1)
    by_episode = learner.adapt(batch.support_x, batch.support_y)(batch.query_x)
    support, query = batch.support_ids[0], batch.query_ids[0]
    by_hand = learner.adapt(data.x[support], batch.support_y[0])(data.x[query])  # uint8 as it is
    torch.testing.assert_close(by_hand.output, by_episode.output[0], rtol=1e-4, atol=1e-4)
    by_name = learner.adapt(data.x[support].numpy(), data.y[support])(data.x[query].numpy())
    called = batch.task_ids[0][by_episode.labels[0].numpy()]
    assert by_name.names.tolist() == called.tolist()
