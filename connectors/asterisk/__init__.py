"""Asterisk, FreePBX and Issabel: Master.csv, the recordings of a monitor tree, and the voicemail spool."""
