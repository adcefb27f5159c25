"""What the book computes, keeps, draws and says. The method, in the other folders, never imports it."""
