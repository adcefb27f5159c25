"""What removing training points does to the loss: in closed form (Eq. 7, 8, 14), along training (20), of trained
networks, and by the classic IHVP (12, 13) with its bounds (16 to 18). Fits come in, influences go out.
"""
