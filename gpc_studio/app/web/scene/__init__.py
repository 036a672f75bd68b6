"""The 3-D view: a MuJoCo model as nodes of a viser scene, ghosts, goal handle and backdrop."""
