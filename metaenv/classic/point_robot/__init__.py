"""SparsePointRobot."""
