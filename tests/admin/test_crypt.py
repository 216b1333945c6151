"""SHA512-crypt against hashes that libcrypt has made."""

from __future__ import annotations

import pytest

from fairlead.admin.crypt import sha512_crypt, verify

VECTORS = [
    (
        "$6$saltstring",
        "Hello world!",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoE"
        "OfaS35inz1",
    ),
    (
        "$6$rounds=10000$saltstringsaltstring",
        "Hello world!",
        "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vO"
        "uZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
    ),
    (
        "$6$rounds=1400$anotherlongsaltstring",
        "a very much longer text to encrypt.  This one even stretches over morethan one line.",
        "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9"
        "t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
    ),
    (
        "$6$MXS",
        "mariadb",
        "$6$MXS$RjtL0yWoXRIzkDGR6iwIAUHrQTWvqMizWYaGZKetqP2VDmWLgpgaT5YueeBoMKkoTMisvIy3sGEUMFa16UYDc.",
    ),
    (
        "$6$MXS",
        "ünïcode",
        "$6$MXS$1GRu.xUt2P4X.dcPqLSYSY7tV2u4znHv7tEzfyVoec3w3cMXVcHM4KOSwdn13Fsu5MZdt69i2obojd5VjSVsr1",
    ),
    (
        "$6$MXS",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "$6$MXS$tFFmrlJIK.g1kzOKm74zpZ25ViydRdtgTTOnhgS3XPsZAGQI59s5wp0kGzqJ7arang7tXyHWw/J7oW8sIj3ld1",
    ),
    (
        "$6$MXS",
        "",
        "$6$MXS$FGN15rwaPpaarkIR3HtzkM/EYNGTooTR5FYMYZzFy3AaOwbQVs2ejqyOvWCibnOexQ4Gw5unD.So62ijRynLp.",
    ),
]


@pytest.mark.parametrize(("setting", "password", "expected"), VECTORS)
def test_vectors(setting: str, password: str, expected: str) -> None:
    assert sha512_crypt(password, setting) == expected
    assert verify(password, expected)
    assert not verify(password + "x", expected)


def test_the_salt_of_the_users_file() -> None:
    """What is stored is `$6$MXS$`, and the default password is what it is for every instance."""
    hashed = sha512_crypt("mariadb", "$6$MXS")
    assert hashed.startswith("$6$MXS$")
    assert verify("mariadb", hashed)


@pytest.mark.parametrize(
    "stored", ["", "$1$abc$x", "plain", "$6$rounds=x$abc$y", "$6$rounds=999999999$abc$y"]
)
def test_other_hashes_never_match(stored: str) -> None:
    assert not verify("", stored)
    assert not verify("plain", stored)
