"""Labelled messages of our own making: templates in text files, filled in by seed.

Nobody wrote these to a shop. A line of ``train.txt``, ``dev.txt`` or ``test_en.txt`` is a
template: its first word says the sentiment (``+``, ``=``, ``-``), whether it is urgent (``!``)
and which right it uses (``e`` erasure, ``a`` access, ``o`` objection); the heading above it is its
intent. ``dev.txt`` was a test until heads were first measured on it, see docs/labels.md. Training
(``train.txt`` and ``dev.txt``) and test share no template, no item, no opening and no closing.

``.venv/bin/python tests/labels/messages.py`` writes the training set that lies in the package.
"""

import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).parent
TRAINING = HERE.parents[1] / "inference/training/messages.jsonl"
SENTIMENTS = {"+": "positive", "=": "neutral", "-": "negative"}
RIGHTS = {"e": "erasure", "a": "access", "o": "objection"}
ROUGH = 0.15  # share of messages typed in a hurry: no capitals, no full stop
SLIPS = 0.1  # share with two letters swapped
SHORT = 8  # letters; fewer would leave no word


@dataclass(frozen=True, slots=True)
class Message:
    """A text and what is right of it; `template` tells which lines are of one kind."""

    text: str
    language: str
    template: str
    intent: str
    sentiment: str
    urgency: str
    privacy_request: str


@dataclass(frozen=True, slots=True)
class Style:
    """What one writer puts around and into templates."""

    items: Sequence[str]
    days: Sequence[str]
    openings: Sequence[str]
    closings: Sequence[str]


TRAIN = Style(
    (
        "jacket", "coffee machine", "lamp", "phone case", "backpack", "kettle", "desk chair",
        "toaster", "pair of trainers", "tablet", "blender", "headphones",
    ),
    ("Monday", "last Friday", "the 3rd of May", "Wednesday"),
    ("", "", "Hello, ", "Hi! ", "Dear team, ", "Good morning. ", "To whom it may concern: "),
    ("", "", "", " Thanks in advance.", " Kind regards, Anna", " Please let me know.", " Best, J."),
)  # fmt: skip
DEV = Style(
    (
        "cardigan", "espresso maker", "floor lamp", "hoover", "smart watch", "bread bin",
        "armchair", "waffle iron", "hiking boots", "e-reader", "soda maker", "loudspeaker",
    ),
    ("Tuesday", "Thursday", "the 21st", "Saturday"),
    ("", "", "Hey, ", "Good evening, ", "Hello there. ", "Dear Sir or Madam, ", "Quick one: "),
    ("", "", "", " Cheers, Ben", " Thank you.", " Regards", " I look forward to your answer."),
)  # fmt: skip
TEST = Style(
    (
        "sweater", "rice cooker", "bookshelf", "suitcase", "camera", "food processor", "sofa",
        "iron", "raincoat", "printer", "water bottle", "set of knives",
    ),
    ("the 12th", "Sunday", "last Thursday", "the 2nd of June"),
    ("", "", "Hello team, ", "Hi all, ", "Greetings. ", "Dear customer service, ", "Hey there! "),
    ("", "", "", " Best wishes, Maria", " Many thanks.", " Yours, P. Novak", " Please reply soon."),
)  # fmt: skip
FOREIGN = {
    "de": Style(
        ("die Jacke", "den Toaster", "die Lampe"), ("Montag",),
        ("", "Hallo, ", "Guten Tag. "), ("", " Danke im Voraus.", " Mit freundlichen Grüßen"),
    ),
    "fr": Style(
        ("la veste", "le grille-pain", "la lampe"), ("lundi",),
        ("", "Bonjour, ", "Madame, Monsieur, "), ("", " Merci d'avance.", " Cordialement"),
    ),
    "es": Style(
        ("la chaqueta", "la tostadora", "la lámpara"), ("lunes",),
        ("", "Hola, ", "Buenos días. "), ("", " Gracias de antemano.", " Un saludo"),
    ),
}  # fmt: skip


def training() -> list[Message]:
    """Return the messages that heads are trained on, in a fixed order."""
    train = _filled(_templates("train.txt"), TRAIN, times=3, seed=1)
    return [*train, *_filled(_templates("dev.txt"), DEV, times=3, seed=7)]


def lines() -> Iterator[str]:
    """Yield the training set as it lies in the package."""
    for one in training():
        yield json.dumps(asdict(one), ensure_ascii=False) + "\n"


def english() -> list[Message]:
    """Return unseen English messages: 40 templates or more per intent, each three times."""
    return list(_filled(_templates("test_en.txt"), TEST, times=3, seed=2))


def rights() -> list[Message]:
    """Return unseen requests by which somebody uses a right, 15 templates of each, and others."""
    rows = [row for row in _templates("test_en.txt") if row["privacy_request"] != "none"]
    others = [row for row in _templates("test_en.txt") if row["privacy_request"] == "none"]
    return [*_filled(rows, TEST, times=9, seed=3), *_filled(others, TEST, times=1, seed=4)]


def foreign() -> list[Message]:
    """Return messages in German, French and Spanish, about 55 templates of each, thrice."""
    return list(_filled(_templates("test_foreign.txt"), None, times=3, seed=5))


def urgency(name: str) -> list[Message]:
    """Return messages of which the urgency is known and nothing else: `train` or `test`."""
    style = TRAIN if name == "train" else TEST
    return list(_filled(_urgencies(f"urgency_{name}.txt"), style, times=3, seed=6))


def _templates(name: str) -> list[Mapping[str, str]]:
    rows, language, intent = [], "en", ""
    for number, line in enumerate((HERE / name).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            intent = line.removeprefix("## ")
        elif line.startswith("# "):
            language = line.removeprefix("# ")
        else:
            marks, text = line.split(" ", 1)
            rights = [RIGHTS[mark] for mark in marks if mark in RIGHTS]
            rows.append(
                {
                    "text": text,
                    "language": language,
                    "template": f"{name}:{number}",
                    "intent": intent,
                    "sentiment": SENTIMENTS[marks[0]],
                    "urgency": "high" if "!" in marks else "normal",
                    "privacy_request": rights[0] if rights else "none",
                }
            )
    return rows


def _urgencies(name: str) -> list[Mapping[str, str]]:
    rows, level = [], ""
    for number, line in enumerate((HERE / name).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            level = line.removeprefix("## ")
            continue
        known = {"text": line, "language": "en", "template": f"{name}:{number}", "urgency": level}
        rows.append({**known, "intent": "", "sentiment": "", "privacy_request": ""})
    return rows


def _filled(
    rows: Sequence[Mapping[str, str]], style: Style | None, *, times: int, seed: int
) -> Iterator[Message]:
    """Yield each template so often, never twice the same text."""
    chance, seen = random.Random(seed), set[str]()
    for row in rows:
        written = style or FOREIGN[row["language"]]
        made = 0
        while made < times:
            text = _one(row["text"], written, chance)
            if text not in seen:
                seen.add(text)
                made += 1
                yield Message(**{**row, "text": text})


def _one(template: str, style: Style, chance: random.Random) -> str:
    core = template.format(
        item=chance.choice(style.items),
        order=f"{chance.choice('ABRZ')}{chance.randrange(10_000, 99_999)}",
        day=chance.choice(style.days),
        amount=f"{chance.randrange(5, 400)}.{chance.randrange(10, 99)} EUR",
    )
    text = chance.choice(style.openings) + core + chance.choice(style.closings)
    if chance.random() < ROUGH:
        text = text.lower().rstrip(".!")
    if chance.random() < SLIPS and len(text) > SHORT:
        at = chance.randrange(1, len(text) - 2)
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text


def main() -> None:
    """Write the training set."""
    with TRAINING.open("w", encoding="utf-8") as file:
        file.writelines(lines())
    sys.stderr.write(f"{TRAINING}: {len(training())} messages\n")


if __name__ == "__main__":
    main()
