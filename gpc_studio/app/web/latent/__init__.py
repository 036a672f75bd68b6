"""The latent view: where samples lie among all plans, as a plane that keeps still."""
