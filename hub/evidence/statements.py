"""What an evidence report states about its methods, its uncertainty, and how to check it."""

from typing import Final

METHOD: Final = (
    (
        "Levels. A sensor measures LAeq, LAFmax and LCeq of each second. Its level meter keeps the limits of IEC"
        " 61672-1, class 1, in software (docs/conformance.md of Earwitness). The class of microphone, preamplifier"
        " and housing is not known to the hub: add their certificates. Levels of minutes, hours and days are"
        " energetic means of the seconds that have levels. L10, L50 and L90 are those of the LAeq of the seconds."
        " Lday is from 07:00 to 19:00, Levening from 19:00 to 23:00, Lnight from 23:00 to 07:00; Lden adds 5 dB"
        " and 10 dB (Directive 2002/49/EC, Annex I). A level of a day is stated if 75 % of its time is valid. Gaps"
        " are never interpolated."
    ),
    (
        "Uncertainty of levels. Levels are stored in steps of 0.1 dB. The calibration is that of the table above."
        " No expanded uncertainty is stated: it depends on the microphone, its housing and place, the weather and"
        " other sound (ISO 1996-2:2017), which the hub does not know."
    ),
    (
        "Alerts. A neural network estimates from a clip of 10 s how probable each of eight categories of sound"
        " is, and how probable it is that the clip and a past one contain the same kind of sound. An alert states"
        " both with the threshold of the site. These probabilities are calibrated on test data (docs/model.md) and"
        " are the uncertainty of category and match: they do not prove which source made the sound. LAeq and"
        " LAFmax are of the whole clip, with all sound in it."
    ),
    (
        "Coverage. A gap has the reason that the delivery ledger of the hub shows: what the sensor reported of"
        " its runs, its source, its spool and its clock, and when its connection broke. Where several reasons"
        " apply, the first one of the list in docs/evidence.md counts. What the ledger does not show is stated as"
        " unknown."
    ),
)
CHECK: Final = (
    "earwitness-hub verify-evidence REPORT.zip --key public-key.pem checks all files and the signature."
    " Without Earwitness: sha256sum -c signed.sha256 && sha256sum -c manifest.sha256 && openssl pkeyutl"
    " -verify -pubin -inkey public-key.pem -rawin -in signed.sha256 -sigfile signed.sha256.sig. Take the"
    " public key from its owner, not from the zip, and compare its fingerprint. A signature"
    " shows that the files are as the hub wrote them at the stated time; that time is of the clock of the hub."
)
