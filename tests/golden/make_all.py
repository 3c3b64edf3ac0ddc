"""Regenerates every golden file of this room: the model folders, then the training trajectories.

Usage: python tests/golden/make_all.py
"""

import make_models
import make_trajectories

if __name__ == "__main__":
    make_models.main([])
    make_trajectories.main([])
