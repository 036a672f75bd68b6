"""What is learned: networks, generative samplers, checkpoints, training loops.

- `architecture`: what a network looks like; `networks`: the networks
- `policy`: a flow-matching policy and how plans are drawn from it
- `flow_matching`: the loss
- `checkpoint`: policies as files; `container`: the file format; `library`: which there are
- `proposal`: the policy as a proposal; `controllers/`: the controllers that use it
- `training/`: collecting data and fitting
"""
