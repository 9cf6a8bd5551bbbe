"""Words of the school problems other than names, for a vocabulary of whole words."""

TEXT = """
A a among and Answer answer apples are area around as average away bag bags baker balls baskets be beads before
belongs books boxes broken buttons buys by cakes Calculate cards centimeters cents child children coins comes Compute
cost costs crates cups days divided do does dollars dozens Each each eggs equally falls farm feet fence Find for from
gap garden get gets gives goal grams Grass grass had has have hours How hundred In in inches Inside is it its jars
kilograms kilometers lamps large largest left library liters long loses machine make makes many marbles market meter
meters milliliters minute minutes missing Monday months more much museum nearest new next notebooks now number numbers
nuts of old older on One painter part pay pays pencils pens per perimeter piece pieces plants plums pond price printer
puzzles Question rectangular remainder rest rises robot Round school seconds shared shares shells shirts smallest sold
square stamps stands stickers still stones take takes ten than that The the them Then They thousand thrown tickets
time times to together toys Tuesday value weeks What when Which wide will with work yard years younger
"""
WORDS = tuple(TEXT.split())
