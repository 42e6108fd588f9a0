"""The words and sentence templates of the synthetic world. Every word is one token."""

from __future__ import annotations

PEOPLE = (
    "Anna Ben Carl Dora Emil Fay Gus Hana Ivan Jane Kofi Lena "
    "Max Nora Omar Petra Quinn Rosa Sam Tara Umar Vera Will Yara"
).split()
TOWNS = (
    "Aldon Brimley Corwick Dunmoor Eastby Farley Glenholm Hartwell "
    "Inverley Kelso Lowick Morden Norwell Oakham Penrith Redmarsh"
).split()
CONTAINERS = "box jar basket bag drawer chest crate barrel bucket tin case sack".split()
THINGS = (
    "ring coin key watch book pen letter candle spoon ball map comb photo ticket button mirror"
).split()
PLACES = (
    "park school market beach museum station church farm "
    "harbour cinema bank forest castle hotel garden bridge"
).split()

# The categories of the subject `kinds`. Jobs, animals, fruits and instruments are also the
# values of the subject `people`, and rooms those of the subject `boxes`.
KINDS = {
    "animal": (
        "cat dog horse rabbit goat parrot turtle hamster fox duck sheep pony lizard mouse pig crow"
    ).split(),
    "fruit": (
        "apple pear plum mango cherry lemon peach grape "
        "melon fig banana kiwi apricot lime papaya quince"
    ).split(),
    "job": (
        "baker nurse farmer pilot teacher tailor miner painter "
        "doctor sailor singer lawyer chemist plumber judge barber"
    ).split(),
    "tool": (
        "hammer saw drill wrench chisel pliers shovel rake "
        "axe clamp ladder sickle trowel spade anvil crowbar"
    ).split(),
    "instrument": (
        "violin piano flute drum trumpet harp cello guitar "
        "banjo organ oboe tuba lute clarinet accordion cymbal"
    ).split(),
    "garment": (
        "coat hat scarf glove shirt shoe skirt sock belt boot vest cape robe apron sweater jacket"
    ).split(),
    "room": (
        "kitchen attic cellar garage bedroom hall study pantry bathroom office porch library"
    ).split(),
    "colour": ("red blue green yellow purple brown black white pink grey violet crimson").split(),
}

COUNTRIES = (
    "Abaria Belmora Cordavia Dravia Elvonia Fenland Gorvia Hestia Ilmaria Jorvia Kaldia Lumeria "
    "Morvia Nordia Ostania Pelagia Quorra Ruvania Sorvia Tarnia Ulvania Vestria Wolmar Xandria "
    "Yelvia Zorland Arvenia Brasca Cintra Dulmar Eskadia Frosia"
).split()
CAPITALS = (
    "Mivak Tormin Pelin Sarko Lodva Keshet Ravos Dunik Belgar Zimna Harvok Tulvas Orvik Nemos "
    "Palvo Girsk Vendal Kormu Astel Yarrow Bistra Colven Drosta Elbrin Folgar Hovik Izmar Jedvar "
    "Kolvar Lestok Murzin Naldor"
).split()
COINS = (
    "zak dirm pelt orko luma tavi nerk quill brona sefi gald mirk hule rand jota kesh "
    "vint drup olna fenn torl wask bexi corl yano ubri pask lirk dova hask enzo tink"
).split()

# attribute: (sentence, question, values)
PEOPLE_FACTS = {
    "job": ("{n} works as a {v}.", "What is the job of {n}?", KINDS["job"]),
    "town": ("{n} lives in {v}.", "Where does {n} live?", TOWNS),
    "pet": ("{n} has a {v}.", "Which pet does {n} have?", KINDS["animal"]),
    "fruit": ("{n} likes the {v}.", "Which fruit does {n} like?", KINDS["fruit"]),
    "music": ("{n} plays the {v}.", "What does {n} play?", KINDS["instrument"]),
}
MOVE_VERBS = "went walked moved ran".split()
# relation of a sentence: (who is first in the order, who is last)
RELATIONS = {
    "older": ("oldest", "youngest"),
    "taller": ("tallest", "shortest"),
    "richer": ("richest", "poorest"),
}
# Six wordings of each closed-book question. Country number i is trained on three of them,
# and each held-out split has one more: see `world.closed_book_templates`.
CAPITAL_QUESTIONS = (
    "What is the capital of {c}?",
    "Which city is the capital of {c}?",
    "From which city is {c} ruled?",
    "Name the capital of {c}.",
    "{c} has which capital?",
    "The capital of {c} is called what?",
)
COIN_QUESTIONS = (
    "What is the coin of {c}?",
    "Which coin do people use in {c}?",
    "With which coin do you pay in {c}?",
    "Name the coin of {c}.",
    "{c} has which coin?",
    "The coin of {c} is called what?",
)
OTHER_TEMPLATES = (
    "The {o} is in the {v}.",
    "Which room is the {o} in?",
    "{n} went to the {v}.",
    "Where is {n} now?",
    "{n} is older than {v}.",
    "Who is the oldest?",
    "{n} comes from {c}.",
    "What is the capital of the country of {n}?",
    "Which of these is a {v}?",
    "Which of these is an {v}?",
    "Which of these is not a {v}?",
    "Which of these is not an {v}?",
    "Which of these is not like the others?",
    "What kind of thing is the {o}?",
    "A. B. C. D. Answer:",
)
