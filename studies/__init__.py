"""What was run once to learn something; docs/results.md, docs/scale.md and docs/performance.md have the figures."""
