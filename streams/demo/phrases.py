"""What the demo's customers write, in a few languages; ``{mark}`` is a unique part."""

GIFT_NOTES = {
    "en": ("Happy birthday, dear {mark}!", "With love from {mark} and the cats."),
    "de": ("Alles Gute zum Geburtstag, liebe {mark}!", "Viele Grüße von {mark} und den Katzen."),
    "fr": ("Joyeux anniversaire, chère {mark} !", "Avec toute notre affection, {mark}."),
    "es": ("¡Feliz cumpleaños, querida {mark}!", "Con cariño de {mark} y los gatos."),
}
ORDER_NOTES = {
    "en": ("Please ring at {mark}, the bell is broken.", "Leave it with {mark} next door."),
    "de": ("Bitte bei {mark} klingeln.", "Beim Nachbarn {mark} abgeben, danke."),
    "fr": ("Sonnez chez {mark}, s'il vous plaît.", "À laisser chez {mark}, merci."),
    "es": ("Llame a {mark}, por favor.", "Déjelo con {mark}, gracias."),
}
MESSAGES = {
    "en": (
        (
            "Where is my parcel?",
            "Tracking has not moved for six days. My neighbour {mark} saw no van.",
        ),
        (
            "Broken on arrival",
            "The mug came in pieces and I am furious. I want my money back. {mark}",
        ),
        ("Invoice", "Please send the invoice to my company {mark} again, with our tax number."),
        ("Thank you", "Everything arrived early and well packed. {mark} is delighted!"),
        ("Delete my account", "Under data protection law, please erase what you hold on {mark}."),
    ),
    "de": (
        (
            "Wo ist mein Paket?",
            "Seit sechs Tagen keine Bewegung. Nachbar {mark} hat nichts gesehen.",
        ),
        (
            "Ware beschädigt",
            "Die Tasse kam zerbrochen an, ich bin sehr verärgert. Geld zurück! {mark}",
        ),
        ("Rechnung", "Bitte senden Sie die Rechnung noch einmal an die Firma {mark}."),
        ("Danke", "Alles kam früh und gut verpackt an. {mark} freut sich sehr!"),
    ),
    "fr": (
        ("Où est mon colis ?", "Le suivi n'a pas bougé depuis six jours, dit {mark}."),
        ("Article cassé", "La tasse est arrivée en morceaux, remboursez-moi. {mark}"),
        ("Merci", "Tout est arrivé en avance et bien emballé. {mark} est ravie !"),
    ),
    "es": (
        ("¿Dónde está mi paquete?", "El seguimiento no avanza desde hace seis días, dice {mark}."),
        ("Llegó roto", "La taza llegó en pedazos. Quiero que me devuelvan el dinero. {mark}"),
        ("Gracias", "Todo llegó pronto y bien empaquetado. ¡{mark} está encantada!"),
    ),
}
REVIEWS = {
    "en": (
        (5, "Lovely", "Exactly as shown, {mark} uses it every day."),
        (3, "Fine", "Does what it should; the colour is duller than {mark} hoped."),
        (1, "Never again", "Fell apart in a week. {mark} wants a refund."),
    ),
    "de": (
        (5, "Wunderbar", "Genau wie abgebildet, {mark} benutzt es täglich."),
        (2, "Enttäuscht", "Nach einer Woche kaputt. {mark} möchte das Geld zurück."),
    ),
    "fr": ((4, "Très bien", "Conforme à la photo, {mark} s'en sert tous les jours."),),
    "es": ((4, "Muy bien", "Igual que en la foto, {mark} lo usa a diario."),),
}
# sku stem, title, price in hundredths
CATALOGUE = (
    ("MUG-STONE", "Stoneware mug", 1490),
    ("TEE-LINEN", "Linen T-shirt", 3900),
    ("LAMP-DESK", "Desk lamp", 7950),
    ("BAG-CANVAS", "Canvas tote bag", 2450),
    ("PEN-BRASS", "Brass fountain pen", 5600),
    ("QUILT-WOOL", "Wool quilt", 18900),
    ("TEA-GREEN", "Green tea, 100 g", 990),
    ("CLOCK-OAK", "Oak wall clock", 6400),
)
