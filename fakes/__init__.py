"""What stands in for the world in tests, faults and benchmarks: an API on loopback, its incidents.

Real HTTP and real processes, no mocks. Imports the product and libraries, and nothing that uses it.
"""
