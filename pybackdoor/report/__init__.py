"""Pictures, tables and texts about audits, experiments and active learning."""
