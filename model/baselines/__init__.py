"""The methods that PlaneDict is compared with, one folder each: settings, networks, method."""
