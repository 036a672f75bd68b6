"""The named controllers that draw samples from a trained policy, one file each."""
