"""The report's page: what it says (`story`, `numbers`), what it shows (`pictures`, `charts`), and how it is set (`page`)."""
