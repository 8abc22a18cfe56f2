"""One small company as HubSpot's export button would write it, in three languages."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

# Who it is: contact 501 and 502 work for company 900; deal 71 was won, 72 lost, 73 and 74 are open.
CONTACTS: Final = (
    ("501", "2025-11-03 09:15", "ada@example.org", "Ada", "Retail", "customer", "Sam Seller", "900", "71;73"),
    ("502", "2026-02-10 16:40", "bob@example.org", "Bob", "Software", "lead", "Sam Seller", "900;901", "72"),
    ("503", "2026-03-01 08:00", "", "Cem", "", "lead", "", "", ""),
)
COMPANIES: Final = (("900", "2025-11-03 09:10", "Acme", "Retail"), ("901", "2026-01-01 00:00", "Bolt", "Software"))
# Record, created, pipeline, stage, amount, close date, owner, won, lost, closed, company, contacts, and when each of
# the stages Qualified, Offer, Signed and Gone was entered.
DEALS: Final = (
    (
        "71", "2025-12-01 10:00", "Sales", "Signed", "1200.5", "2026-01-20 12:00", "Sam Seller", "true", "", "true",
        "900", "501", "2025-12-01 10:00", "2025-12-15 09:30", "2026-01-20 12:00", "",
    ),
    (
        "72", "2026-02-11 09:00", "Sales", "Gone", "800", "2026-03-02 08:00", "Tia Trader", "", "true", "true",
        "900", "502", "2026-02-11 09:00", "", "", "2026-03-02 08:00",
    ),
    (
        "73", "2026-03-05 09:00", "Sales", "Offer", "", "", "Sam Seller", "", "", "false",
        "900", "501", "2026-03-05 09:00", "2026-03-29 02:30", "", "",
    ),
    (
        "74", "2026-04-01 09:00", "Sales", "Qualified", "300", "", "Tia Trader", "", "", "false",
        "", "502;503", "2026-04-01 09:00", "", "", "",
    ),
)  # fmt: skip
LABELS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "en": {
        "contacts": ("Record ID", "Create Date", "Email", "First Name", "Industry", "Lifecycle Stage", "Contact owner"),
        "companies": ("Record ID", "Create Date", "Company name", "Industry"),
        "deals": (
            "Record ID", "Create Date", "Pipeline", "Deal Stage", "Amount", "Close Date", "Deal owner", "Is Closed Won",
            "Is closed lost", "Is Deal Closed?",
        ),
        "entered": ('Date entered "{} (Sales)"',),
        "exited": ('Date exited "Offer (Sales)"',),
    },
    "es": {
        "contacts": (
            "ID de registro", "Fecha de creación", "Correo", "Nombre", "Sector", "Etapa del ciclo de vida",
            "Propietario del contacto",
        ),
        "companies": ("ID de registro", "Fecha de creación", "Nombre de la empresa", "Sector"),
        "deals": (
            "ID de registro", "Fecha de creación", "Pipeline", "Etapa del negocio", "Importe", "Fecha de cierre",
            "Propietario del negocio", "Cerrado ganado", "Cerrado perdido", "Negocio cerrado",
        ),
        "entered": ('Fecha de entrada en "{} (Sales)"',),
        "exited": ('Fecha de salida de "Offer (Sales)"',),
    },
    "de": {
        "contacts": (
            "Datensatz-ID", "Erstellungsdatum", "E-Mail", "Vorname", "Branche", "Lifecycle-Phase",
            "Zuständiger Mitarbeiter für Kontakt",
        ),
        "companies": ("Datensatz-ID", "Erstellungsdatum", "Unternehmensname", "Branche"),
        "deals": (
            "Datensatz-ID", "Erstellungsdatum", "Pipeline", "Deal-Phase", "Betrag", "Abschlussdatum",
            "Zuständiger Mitarbeiter für Deal", "Ist abgeschlossen und gewonnen", "Ist abgeschlossen und verloren",
            "Ist abgeschlossen",
        ),
        "entered": ("Datum des Eintritts in „{} (Sales)“",),
        "exited": ("Datum des Verlassens von „Offer (Sales)“",),
    },
}  # fmt: skip
STAGES: Final = ("Qualified", "Offer", "Signed", "Gone")


def write_export(folder: Path, language: str = "en", *, without: tuple[str, ...] = ()) -> list[Path]:
    """Write contacts.csv, companies.csv and deals.csv; columns whose label holds one of some words are left out."""
    labels = LABELS[language]
    entered = [labels["entered"][0].format(stage) for stage in STAGES]
    headers = {
        "contacts": (*labels["contacts"], "Associated Company IDs (Primary)", "Associated Deal IDs"),
        "companies": labels["companies"],
        "deals": (*labels["deals"], "Associated Company IDs (Primary)", "Associated Contact IDs", *entered),
    }
    rows = {"contacts": CONTACTS, "companies": COMPANIES, "deals": [(*row, "2026-01-01 00:00") for row in DEALS]}
    headers["deals"] = (*headers["deals"], *labels["exited"])
    written = []
    for table, header in headers.items():
        kept = [place for place, label in enumerate(header) if not any(word in label for word in without)]
        file = folder / f"{table}.csv"
        with file.open("w", encoding="utf-8-sig", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow([header[place] for place in kept])
            writer.writerows([[row[place] for place in kept] for row in rows[table]])
        written.append(file)
    return written
