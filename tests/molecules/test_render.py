"""Pictures and text of molecules: what is drawn, and where."""

import dataclasses
import sys

import numpy as np
import pytest
from drawn_words import assert_legible, watch
from PIL import Image
from rdkit import Chem

from metaenv.canvas import BLUE, GREEN, GREY, ORANGE, PALE, Pixels, letters_mask
from metaenv.molecules import render
from metaenv.molecules.chem.assembly import ALL, Assembly, random_actions
from metaenv.molecules.chem.fragmentation import MoleculeError
from metaenv.molecules.chem.fragments import CLOSE, load_vocabulary
from metaenv.molecules.chem.smiles import write
from metaenv.molecules.objectives import LARGEST
from metaenv.molecules.render import BAND, Bar, Made, bars, depiction, frame, gallery, open_smiles, save_png, text

VOCABULARY = load_vocabulary()
TOLYL = "[1*]c1ccc(C)cc1"
WEIGHT = Bar("molecular weight", 25.0, 75.0, 90.0, (0.0, 100.0), False, "Da")
HISTORY = [Made("Cc1ccccc1", 0.25), Made("CC(=O)c1ccccc1", 0.75)]


def action_of(smiles: str, attachment: int = 0) -> int:
    return int(VOCABULARY.action[VOCABULARY.smiles.index(smiles), attachment])


PHENYLENE, METHYL, ACYL = action_of("[1*]c1ccc([2*])cc1"), action_of("[1*]C"), action_of("[1*]C([2*])=O")


def partial(*actions: int) -> Assembly:
    built = Assembly(1)
    for action in actions:
        assert built.mask()[0, action]
        built.place(ALL, np.array([action]))
    return built


def opened(built: Assembly, row: int = 0) -> str:
    return open_smiles(built, row)


def canonical(smiles: str) -> str:
    mol = Chem.MolFromSmiles(smiles)
    assert mol is not None, smiles
    return Chem.MolToSmiles(mol)


def has(picture: np.ndarray, colour: str) -> np.ndarray:
    """Which pixels have exactly this colour."""
    return (picture == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=-1)


class Recorder(Pixels):
    """Remembers what is drawn on it."""

    def __init__(self, width, height, background=None):
        super().__init__(width, height, background)
        self.said, self.molecules = [], []

    def words(self, x, y, text, size=13, colour="", side="left"):
        self.said.append((text, colour))
        super().words(x, y, text, size, colour or GREY, side)


@pytest.fixture
def drawn(monkeypatch):
    """The canvases of the frames that a test draws: of what they have in common, of each frame and of its tiles."""
    canvases = []
    render._background.cache_clear()
    render._tile.cache_clear()

    def drawn(smiles, width, height):
        canvases[-1].molecules.append(smiles)
        return depiction(smiles, width, height)

    monkeypatch.setattr(render, "Pixels", lambda *size: canvases.append(Recorder(*size)) or canvases[-1])
    monkeypatch.setattr(render, "depiction", drawn)
    return canvases


# OPEN_SMILES


@pytest.mark.parametrize(
    ("actions", "smiles"),
    [
        ((PHENYLENE,), "[1*]c1ccc(*)cc1"),
        ((PHENYLENE, METHYL), "Cc1ccc([1*])cc1"),
        ((PHENYLENE, CLOSE), "c1ccc([1*])cc1"),
        ((PHENYLENE, ACYL), "[1*]C(=O)c1ccc(*)cc1"),
        ((PHENYLENE, ACYL, CLOSE), "CC(=O)c1ccc([1*])cc1"),
        ((PHENYLENE, PHENYLENE, METHYL), "Cc1ccc(cc1)-c1ccc([1*])cc1"),
        ((PHENYLENE, METHYL, METHYL), "Cc1ccc(C)cc1"),
    ],
)
def test_open_attachments_are_dummies_and_the_next_one_is_marked(actions, smiles):
    assert canonical(opened(partial(*actions))) == canonical(smiles)


def test_an_empty_molecule_has_no_notation():
    assert opened(Assembly(1)) == ""


def test_closing_replaces_the_marked_dummy_of_random_molecules():
    rng, built, closed = np.random.default_rng(8), Assembly(40), 0
    while not built.done.all():
        before = [opened(built, i) for i in range(built.n)]
        methyl = VOCABULARY.methyl[VOCABULARY.action_fragment[built.top()], VOCABULARY.action_attachment[built.top()]]
        actions = random_actions(built.mask(), rng)
        actions[built.length >= 3] = CLOSE
        rows = np.flatnonzero((built.n_open > 0) & (actions == CLOSE))
        built.place(ALL, actions)
        for i in range(built.n):
            assert opened(built, i).count("*") == built.n_open[i]
            assert opened(built, i).count("[1*]") == (built.n_open[i] > 0)
        for i in rows:
            expected = before[i].replace("[1*]", "C" if methyl[i] else "[H]")
            assert canonical(opened(built, i).replace("[1*]", "*")) == canonical(expected)
            closed += 1
    assert closed > 40


def test_without_open_attachments_it_is_the_usual_notation():
    built = Assembly(20)
    built.rollout(np.random.default_rng(2))
    for i in range(20):
        assert opened(built, i) == write(built.fragment[i].tolist(), built.partner[i].tolist(), VOCABULARY)


# FRAME


def test_frames_are_pictures_of_one_size_that_show_the_state():
    pictures = [
        frame(molecule, [WEIGHT], history, "title")
        for molecule, history in ((None, []), ("[1*]c1ccc(*)cc1", []), (TOLYL, []), (TOLYL, HISTORY), ("Cc1ccccc1", []))
    ]
    for picture in pictures:
        assert picture.dtype == np.uint8 and picture.shape == (540, 920, 3)
    for i, one in enumerate(pictures):
        assert not any(np.array_equal(one, other) for other in pictures[:i])


def test_the_next_attachment_is_orange_and_the_others_blue():
    two, one, none = (frame(s, [], [], "") for s in ("[1*]c1ccc(*)cc1", TOLYL, "Cc1ccccc1"))
    assert [has(p, ORANGE).sum() > 50 for p in (two, one, none)] == [True, True, False]
    assert [has(p, BLUE).sum() > 50 for p in (two, one, none)] == [True, False, False]


def test_the_range_lies_where_it_should():
    picture = frame(None, [dataclasses.replace(WEIGHT, value=None)], [], "")
    band = np.flatnonzero(has(picture, BAND).any(axis=0))
    row = np.flatnonzero(has(picture, BAND).any(axis=1))[0]
    track = np.flatnonzero(has(picture, PALE)[row, 480:] | has(picture, BAND)[row, 480:]) + 480
    start, length = track[0], track[-1] - track[0]
    assert (band[0] - start) / length == pytest.approx(0.25, abs=0.01)
    assert (band[-1] - start) / length == pytest.approx(0.75, abs=0.01)


def test_a_hidden_range_is_not_given_away():
    hidden = [dataclasses.replace(WEIGHT, hidden=True, low=low, high=high) for low, high in ((25, 75), (0, 10))]
    shown = frame(None, [WEIGHT], [], "")
    first, second = (frame(None, [bar], [], "") for bar in hidden)
    np.testing.assert_array_equal(first, second)
    assert has(shown, BAND).any() and not has(first, BAND).any()
    assert text(None, hidden[:1], []) == text(None, hidden[1:], [])


def test_the_marker_moves_with_the_value_and_turns_green_inside():
    out, inside = (frame(None, [dataclasses.replace(WEIGHT, value=v)], [], "") for v in (90.0, 50.0))
    assert has(inside, GREEN).any() and not has(out, GREEN).any()
    columns = np.flatnonzero(has(inside, GREEN)[64:].any(axis=0))
    band = np.flatnonzero(has(inside, BAND).any(axis=0))
    assert columns.mean() == pytest.approx(band.mean(), abs=2)


def test_more_molecules_than_there_is_room_for(drawn):
    made = [Made("C1CC1", i / 40) for i in range(25)]
    frame(None, [], made, "")
    numbers = [words for canvas in drawn for words, colour in canvas.said if words.isdigit() and colour == GREY]
    assert numbers == [str(i) for i in range(16, 26)]
    assert frame(None, [WEIGHT], made, "many words " * 50).shape == (540, 920, 3)


def test_what_is_no_molecule_is_refused():
    with pytest.raises(MoleculeError, match="RDKit cannot read"):
        frame("c1ccc", [], [], "")


def test_without_pillow_it_says_what_to_install(monkeypatch):
    render._background.cache_clear()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        frame(None, [], [], "")


def test_the_frame_holds_the_molecules_and_the_words(drawn):
    frame(TOLYL, [WEIGHT], HISTORY, 'a <b> & "c"')
    assert [one for canvas in drawn for one in canvas.molecules] == [TOLYL, "Cc1ccccc1", "CC(=O)c1ccccc1"]
    words = {words for canvas in drawn for words, _ in canvas.said}
    assert {'a <b> & "c"', "molecular weight", "90 Da", "range 25 to 75", "best 0.75, no. 2 of 2"} <= words


# GALLERY


def test_gallery_has_a_tile_for_each_molecule_and_frames_the_best():
    made = [Made("C1CC1", s) for s in (0.1, 0.9, 0.0)]
    two, five, six = gallery(made[:2], None, "title"), gallery(made + made[:2], None, ""), gallery(made * 2, None, "")
    assert two.dtype == np.uint8 and two.shape[0] == five.shape[0] and two.shape[1] < five.shape[1]
    assert five.shape[1:] == six.shape[1:] and six.shape[0] > five.shape[0]
    edge = np.flatnonzero(has(two, GREEN).sum(axis=0) > 150)  # the two upright edges, 2 pixels wide
    assert len(edge) == 4 and edge[0] > two.shape[1] // 2


def test_gallery_shows_which_ranges_were_met():
    made = [Made("C1CC1", 0.0)]
    met, missed = (gallery(made, [[dataclasses.replace(WEIGHT, value=v)]], "") for v in (50.0, 90.0))
    assert met.shape == missed.shape and has(met, GREEN).sum() > has(missed, GREEN).sum() + 90
    assert met.shape[0] > gallery(made, None, "").shape[0]


def test_gallery_writes_within_its_tiles(monkeypatch):
    words, pictures, plain = watch(monkeypatch), [], Pixels.picture

    def watched(self, x, y, width, height, picture):
        pictures.append((x, y, x + width, y + height))
        plain(self, x, y, width, height, picture)

    monkeypatch.setattr(Pixels, "picture", watched)
    made = [Made("C1CC1", s) for s in (0.1, 0.9, 0.25)]
    gallery(made, [[WEIGHT]] * 3, "")
    assert_legible(words)
    assert {"0.10", "0.90", "0.25", WEIGHT.name} <= {word.text for word in words}
    tile, pitch = render.TILE, render.TILE + render.MARGIN
    for word in words:
        column = int((word.left - render.MARGIN) // pitch)
        assert render.MARGIN + column * pitch < word.left and word.right < render.MARGIN + column * pitch + tile
    (score_line,) = {word.y for word in words if word.text in ("0.10", "0.90", "0.25")}
    for column, (left, top, right, bottom) in enumerate(pictures):
        assert render.MARGIN + column * pitch < left and right < render.MARGIN + column * pitch + tile
        assert render.HEAD < top and bottom < score_line
    assert len(pictures) == 3


@pytest.mark.parametrize(
    ("made", "bars_of", "why"), [([], None, "0 molecules"), (HISTORY, [[WEIGHT]], "for each of 2 molecules")]
)
def test_gallery_refuses_what_it_cannot_draw(made, bars_of, why):
    with pytest.raises(ValueError, match=why):
        gallery(made, bars_of, "")


def test_a_superscript_is_a_small_digit_above_the_middle():
    """Pillow's font draws a box for it."""
    raised, plain = (np.array(letters_mask(text, 18)[0]) > 0 for text in "²2")
    assert 0 < raised.any(axis=1).sum() < 0.8 * plain.any(axis=1).sum()
    assert np.flatnonzero(raised.any(axis=1)).max() < np.flatnonzero(plain.any(axis=1)).mean() + 2


def test_png_holds_the_picture_and_leaves_nothing_else(tmp_path):
    picture = frame(TOLYL, [WEIGHT], HISTORY, "title")
    path = save_png(tmp_path / "deep" / "picture.png", picture)
    np.testing.assert_array_equal(np.array(Image.open(path)), picture)
    assert [p.name for p in path.parent.iterdir()] == ["picture.png"]


def test_an_open_end_of_a_range_is_that_of_the_axis():
    """Molecular weights to 300 and from 200, of an axis from 0 to 550; the end itself is open, too."""
    for low, high, shown in ((-LARGEST, 300.0, (0, 300)), (200.0, LARGEST, (200, 550)), (-2e4, 2e4, (0, 550))):
        (bar,) = bars(None, [low], [high], [1.0], names=["mw"])
        assert (bar.low, bar.high) == shown


# TEXT


def test_text_names_the_molecule_the_ranges_and_the_scores():
    bars = [WEIGHT, Bar("logP", 1.25, 3.5, 2.25, (-2.0, 7.0), False), Bar("donors", 1, 1, None, (0, 4), True)]
    lines = text("Cc1ccccc1", bars, HISTORY, "molecule 3", "actions: 0 close").splitlines()
    assert lines[5].startswith("made 2, best no. 2 (number: score; molecular weight in Da, logP, polar surface in A^2")
    assert lines[:5] + lines[6:] == [
        "molecule 3",
        "Cc1ccccc1",
        "  molecular weight  90 Da  range 25 to 75, missed",
        "  logP               2.25  range 1.25 to 3.50, met",
        "  donors                -  range ?",
        "  1: 0.25; Cc1ccccc1",
        "  2: 0.75; CC(=O)c1ccccc1",
        "actions: 0 close",
    ]
    assert text(None, [], []).splitlines() == ["no molecule yet: choose a ring", "nothing made yet"]


@pytest.mark.parametrize(("value", "met"), [(24.9, False), (25.0, True), (75.0, True), (75.1, False), (None, None)])
def test_both_ends_of_a_range_are_inside(value, met):
    assert dataclasses.replace(WEIGHT, value=value).met is met
    assert dataclasses.replace(WEIGHT, value=value, hidden=True).met is None


@pytest.mark.parametrize("wrong", [{"scale": (1.0, 1.0)}, {"low": 80.0}])
def test_a_bar_that_falls_is_refused(wrong):
    with pytest.raises(ValueError, match="expected rising ends"):
        dataclasses.replace(WEIGHT, **wrong)
