"""What is kept: tables with their witnesses, what benchmarks measured, and whether today's code still gives both."""
