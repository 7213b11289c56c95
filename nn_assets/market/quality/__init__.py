"""What is wrong with bars: rules of cleaning, notices for a person, the gate."""
