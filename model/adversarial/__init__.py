"""The adversarial fine-tune: losses, the discriminator's side of a step, real images, public checkpoints."""
