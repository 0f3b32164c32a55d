"""Short illustrated stories: an idea becomes a concept, the concept a story and pictures, all on one base model."""
