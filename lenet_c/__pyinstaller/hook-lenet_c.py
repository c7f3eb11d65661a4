"""What PyInstaller does not see: modules that are imported by name, and the files beside them."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("lenet_c", excludes=["py.typed", "**/*.pyi", "**/*.pyx"])
hiddenimports = collect_submodules("lenet_c", filter=lambda name: "__pyinstaller" not in name)
