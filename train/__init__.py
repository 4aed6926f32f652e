"""Consensus -> triplets -> dataset -> DPO -> the next policy, and how much better it is."""
