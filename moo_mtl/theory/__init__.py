"""What rules guarantee, tested: properties made measurable, verdicts, counter-examples, and where each rule lands."""
