"""Prompts -> responses -> pairs: reading prompts, sampling answers, forming pairs."""
